//! Fetching (WADO-RS, PS3.18 10.4).

use crate::multipart::{Parts, boundary_of};
use crate::{Archive, Error, Series};

/// Any instance as the archive stores it.
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

impl Archive {
    /// Every instance of a series, as a DICOM file each, handed to `take` one after the other.
    ///
    /// # Errors
    /// When the archive does not answer or its answer breaks off, and what `take` fails with.
    pub fn retrieve<E: From<Error>>(
        &self,
        series: &Series,
        mut take: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let path = format!("/studies/{}/series/{}", series.study, series.uid);
        let (address, mut answer) = self.get(&path, &[], ACCEPT)?;
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let boundary = kind.and_then(boundary_of).ok_or_else(|| {
            let kind = kind.unwrap_or("nothing");
            Error::broken(&address, format!("a multipart/related answer was expected, not {kind}"))
        })?;
        let mut parts = Parts::new(answer.body_mut().as_reader(), &boundary);
        loop {
            let next =
                parts.next().map_err(|error| Error::of(&address, "the answer broke off", error));
            match next? {
                None => return Ok(()),
                Some(part) => take(part)?,
            }
        }
    }
}
