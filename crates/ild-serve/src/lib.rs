//! A server on which a radiologist segments: it speaks MONAI Label's protocol, so that 3D Slicer and
//! OHIF plug in unchanged, and it serves a page of its own.
//!
//! ```text
//! settings            flags → folders, and whether they are safe
//! app                 what all requests share; the routes
//! safety              who may ask: names of this server, pages elsewhere, the secret; encryption
//! connections         requests on a socket
//! monai               MONAI Label's protocol
//! page                the page, and what it asks for
//! upload              files that clients send
//! studies             which CTs there are
//! model               the model's threads, CTs in memory, features of their slices
//! draft               masks that are worked on: runs, undo, the copy on the disk
//! labels              accepted masks, earlier versions kept
//! jobs, training      work that takes a while
//! next, scores        which case comes next
//! presence, journal   who works on what, what happened
//! ```
//!
//! A click takes the calls that `ild-infer` takes ([`ild_infer::Session`]); nothing here knows how a
//! mask is found.
//!
//! Deliberately absent: users and their rights (a proxy's), and any path made of what a client says.

mod app;
mod clock;
mod connections;
mod draft;
mod error;
mod jobs;
mod journal;
mod json;
mod labels;
mod model;
mod monai;
mod next;
mod page;
mod presence;
mod safety;
mod scores;
mod server;
mod settings;
mod studies;
mod training;
mod upload;

pub use app::App;
pub use server::{Server, run};
pub use settings::Settings;
