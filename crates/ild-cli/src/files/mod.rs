//! Files that are read and written, and what follows from them: whose they are, and what is done.

mod atomic;
mod books;
pub mod done;
mod faults;
pub mod inputs;
mod list;
mod lock;
mod mark;
pub mod outputs;
mod regular;
mod stamp;

pub use atomic::{
    sweep_temporary, write_atomic, write_atomic_unsynced, write_bytes_atomic, write_json_atomic,
};
pub use books::close_books;
pub use lock::{FOLDER_IN_USE, FolderLock};
pub use mark::{MARK, Mark};
pub use regular::regular;
pub use stamp::{Stamp, content_of, content_of_bytes};
