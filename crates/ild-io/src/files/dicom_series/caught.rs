//! Decoders that panic on damaged pixels instead of refusing them: the panic is caught and its text
//! kept from the user, who gets a refusal.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs such a decoder.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` returns; `None` when it panics, which nobody hears of.
pub(super) fn caught<R>(decode: impl FnOnce() -> R) -> Option<R> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                others(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    QUIET.set(false);
    result.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_caught_panic_says_nothing_and_any_other_does() {
        static SAID: AtomicUsize = AtomicUsize::new(0);
        panic::set_hook(Box::new(|panic| {
            let ours = panic.payload().downcast_ref::<&str>() == Some(&"of this test");
            SAID.fetch_add(usize::from(ours), Ordering::Relaxed);
        }));
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| panic!("of this test")), None::<u8>);
        assert_eq!(SAID.load(Ordering::Relaxed), 0);
        assert!(catch_unwind(|| panic!("of this test")).is_err());
        assert_eq!(SAID.load(Ordering::Relaxed), 1);
    }
}
