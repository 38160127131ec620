//! Prints the list of tensors that `tests/golden/train/export.py` makes its checkpoint from:
//!
//! ```sh
//! cargo run --release --workspace --example mini_parameters > tests/golden/train/mini_parameters.json
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    print!("{}", support::parameters_of_mini());
}
