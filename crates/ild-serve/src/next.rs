//! Which case comes next.

use std::cmp::Ordering;

use crate::app::App;

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By name.
    Name,
    /// Those first of which the model is most unsure; then those that it was not asked about, by
    /// name.
    Uncertain,
}

/// The next case without an accepted mask, another one than `after`; by name that is the one behind
/// it.
pub fn unlabelled(app: &App, after: Option<&str>, order: Order) -> Option<String> {
    let open: Vec<(String, Option<f64>)> = app
        .studies
        .all()
        .iter()
        .filter(|study| app.labels.when(&study.id).is_none())
        .map(|study| (study.id.clone(), app.scores.of(&study.id)))
        .collect();
    choose(open, after, order)
}

fn choose(
    mut open: Vec<(String, Option<f64>)>,
    after: Option<&str>,
    order: Order,
) -> Option<String> {
    open.retain(|(id, _)| Some(id.as_str()) != after);
    let behind = |id: &str| after.is_none_or(|after| id > after);
    open.sort_by(|(a, score_a), (b, score_b)| {
        let by_score = match order {
            Order::Uncertain => score_b.partial_cmp(score_a).unwrap_or(Ordering::Equal),
            Order::Name => Ordering::Equal,
        };
        by_score.then(behind(b).cmp(&behind(a))).then(a.cmp(b))
    });
    open.into_iter().next().map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_doubtful_case_is_next_and_else_the_one_behind() {
        let open = || {
            [("a", None), ("b", Some(0.2)), ("c", Some(0.7)), ("d", None)]
                .map(|(id, score)| (id.to_owned(), score))
                .to_vec()
        };
        let next = |after, order| choose(open(), after, order);
        assert_eq!(next(None, Order::Uncertain).as_deref(), Some("c"));
        assert_eq!(next(Some("c"), Order::Uncertain).as_deref(), Some("b"));
        assert_eq!(next(None, Order::Name).as_deref(), Some("a"));
        assert_eq!(next(Some("b"), Order::Name).as_deref(), Some("c"));
        assert_eq!(next(Some("d"), Order::Name).as_deref(), Some("a"));
        assert_eq!(choose(vec![("a".into(), None)], Some("a"), Order::Name), None);
    }
}
