//! Which window a CT is looked at through: the one the model has learnt with.

use std::path::Path;

use ild_io::Window;
use ild_preprocess::Windowing;

use crate::{Error, Result};

/// Windows closer than this are the same, HU.
const SAME_HU: f64 = 0.5;

/// The window in a checkpoint's metadata: that of `dataset.json`, or a plain `{"level_hu": …,
/// "width_hu": …}`; `null` says that there is none.
///
/// # Errors
/// When it is neither.
pub fn of_metadata(text: &str) -> serde_json::Result<Option<Windowing>> {
    serde_json::from_str::<Option<Windowing>>(text).or_else(|error| {
        let plain = serde_json::from_str::<Option<Window>>(text);
        plain.map(|window| window.map(Windowing::Grey)).map_err(|_| error)
    })
}

/// The window for a CT: what the user typed, else what the checkpoint says.
///
/// # Errors
/// Refuses to guess when neither says anything.
pub fn for_ct(
    path: &Path,
    typed: Option<Windowing>,
    trained: Option<Windowing>,
) -> Result<Windowing> {
    if let (Some(typed), Some(trained)) = (typed, trained)
        && !same(&typed, &trained)
    {
        tracing::warn!(
            "window {typed} (level/width, HU) instead of {trained}, which the checkpoint was trained with"
        );
    }
    typed.or(trained).ok_or_else(|| {
        Error::refused(
            path,
            "a window for this CT",
            "none: the checkpoint does not say which one it was trained with",
            "add --window lung (or soft, lung-wide, …)",
        )
    })
}

/// Refuses an NPZ whose pictures were made through another window than the model was trained with,
/// or the user asks for.
///
/// # Errors
/// Says both windows and how to make the NPZ again.
pub fn check_npz(
    path: &Path,
    made: Option<Windowing>,
    typed: Option<Windowing>,
    trained: Option<Windowing>,
) -> Result<()> {
    let (Some(made), Some((wanted, who))) =
        (made, typed.map(|w| (w, "--window")).or(trained.map(|w| (w, "the checkpoint"))))
    else {
        return Ok(());
    };
    if same(&made, &wanted) {
        return Ok(());
    }
    let next =
        "make the NPZ again with this window (ild-preprocess nii-to-npz), or segment the CT itself";
    Err(Error::refused(
        path,
        format!("pictures through the window of {who}, {wanted} (level/width, HU)"),
        made.to_string(),
        next,
    ))
}

fn same(a: &Windowing, b: &Windowing) -> bool {
    let near = |a: &Window, b: &Window| {
        (a.level_hu - b.level_hu).abs() < SAME_HU && (a.width_hu - b.width_hu).abs() < SAME_HU
    };
    a.windows().len() == b.windows().len()
        && a.windows().iter().zip(b.windows()).all(|(a, b)| near(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_the_model_does_not_know_is_refused_with_the_way_out() {
        let [soft, lung]: [Option<Windowing>; 2] = ["soft", "lung"].map(|name| name.parse().ok());
        let path = Path::new("a.npz");
        let text = check_npz(path, soft, None, lung).unwrap_err().to_string();
        assert!(
            text.contains("-600/1500") && text.contains("40/400") && text.contains("nii-to-npz"),
            "{text}"
        );
        assert!(check_npz(path, soft, None, soft).is_ok());
        assert!(check_npz(path, None, None, lung).is_ok(), "an older file does not say");
        assert!(check_npz(path, soft, lung, soft).is_err(), "the flag wins");
        assert_eq!(for_ct(path, None, lung).ok(), lung);
        assert!(for_ct(path, None, None).unwrap_err().to_string().contains("--window lung"));
    }

    #[test]
    fn both_spellings_of_metadata_are_read() {
        let lung: Windowing = "lung".parse().unwrap();
        assert_eq!(of_metadata(&serde_json::to_string(&lung).unwrap()).unwrap(), Some(lung));
        let plain = of_metadata(r#"{"level_hu": -600, "width_hu": 1500}"#);
        assert_eq!(plain.unwrap(), Some(lung));
        assert_eq!(of_metadata("null").unwrap(), None);
        assert!(of_metadata(r#"{"level_hu": "#).is_err(), "a damaged one is no missing one");
    }
}
