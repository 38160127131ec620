//! Rule by rule from the defaults to the best.

use crate::error::Result;
use crate::grid::{DEFAULT, Point, RULES, rules};

/// A value is better when the objective grows by more than the order of sums can.
const TIE: f64 = 1e-9;
/// Rules are gone through so often at most; each time begins where the last one ended.
const ROUNDS: usize = 3;

/// The point at which `objective` is largest, as far as single rules lead there. Of values that are
/// as good as each other the one nearer to the default stays.
///
/// # Errors
/// What `objective` returns.
pub fn best(mut objective: impl FnMut(Point) -> Result<Option<f64>>) -> Result<Point> {
    let mut here = DEFAULT;
    let mut most = objective(here)?.unwrap_or(f64::NEG_INFINITY);
    for _ in 0..ROUNDS {
        let before = here;
        for (i, rule) in RULES.iter().enumerate() {
            let mut values: Vec<usize> = (0..rule.values.len()).collect();
            values.sort_by_key(|value| value.abs_diff(rule.default));
            for value in values {
                let mut there = here;
                there[i] = value;
                if there == here || rules(there).is_none() {
                    continue;
                }
                let found = objective(there)?.unwrap_or(f64::NEG_INFINITY);
                if found > most + TIE {
                    (here, most) = (there, found);
                }
            }
        }
        if here == before {
            break;
        }
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_gain_leaves_the_defaults() {
        assert_eq!(best(|_| Ok(Some(0.5))).unwrap(), DEFAULT);
        assert_eq!(best(|_| Ok(None)).unwrap(), DEFAULT);
    }

    #[test]
    fn the_best_values_are_found_where_one_depends_on_another() {
        let wish: Point = [5, 4, 1, 2, 2, 3];
        let distance = |point: Point| -> f64 {
            let apart = point.iter().zip(&wish).map(|(a, b)| a.abs_diff(*b) as f64).sum::<f64>();
            apart + 0.4 * (point[0] as f64 - point[1] as f64 - 1.0).abs()
        };
        assert_eq!(best(|point| Ok(Some(-distance(point)))).unwrap(), wish);
    }

    #[test]
    fn of_equal_values_the_one_nearer_to_the_default_stays() {
        // The first rule is better anywhere below its default.
        let objective = |point: Point| Ok(Some(f64::from(u8::from(point[0] < DEFAULT[0]))));
        assert_eq!(best(objective).unwrap()[0], DEFAULT[0] - 1);
    }
}
