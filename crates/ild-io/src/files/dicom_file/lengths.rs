//! Element lengths that lie: seen before a parser takes memory for them.
//!
//! An element says how long its value is (PS3.5 7.1.1), up to 4 GiB, and the parser allocates
//! before it reads. So the headers are walked first, passing over the values.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use dicom_object::FileMetaTable;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::stateful::decode::StatefulDecode;
use dicom_transfer_syntax_registry::{TransferSyntax, TransferSyntaxIndex, TransferSyntaxRegistry};
use flate2::read::DeflateDecoder;

use super::{Bytes, DicomFile, damaged};
use crate::files::input::{max_inflated, unreadable};
use crate::{Error, Result};

/// Bytes before the magic, and the magic.
const PREAMBLE: u64 = 128;
const MAGIC: u64 = 4;
/// Group of the file meta information, which is Explicit VR Little Endian whatever follows (PS3.10
/// 7.1).
const FILE_META: u16 = 0x0002;
const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// The data set behind the file meta information is one deflate stream (PS3.5 A.5).
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
/// A slice and its header, inflated: 8192 × 8192 pixels of 16 bits.
const LARGEST_SLICE_BYTES: u64 = 128 << 20;
/// Sequences inside sequences; the parser goes one call deeper for each.
const DEEPEST: usize = 64;

/// Refuses a DICOM file in which a value is longer than the rest of the file, or sequences nest
/// without end.
pub(super) fn check(file: &DicomFile) -> Result<()> {
    let (path, size) = (file.path(), file.size()?);
    let mut reader = file.bytes()?;
    let go_to = |reader: &mut Bytes, at| reader.seek(SeekFrom::Start(at)).map_err(unreadable(path));
    if let Some(syntax) = TransferSyntaxRegistry.get(EXPLICIT_VR_LITTLE_ENDIAN) {
        go_to(&mut reader, PREAMBLE + MAGIC)?;
        walk(path, &mut reader, syntax, size, |group| group == FILE_META)?;
    }
    go_to(&mut reader, PREAMBLE)?;
    let meta = FileMetaTable::from_reader(&mut reader).map_err(|error| damaged(path, &error))?;
    // What the parser does not know it refuses by name.
    let Some(syntax) = TransferSyntaxRegistry
        .get(meta.transfer_syntax())
        .filter(|syntax| !syntax.is_unsupported())
    else {
        return Ok(());
    };
    if syntax.uid() != DEFLATED {
        return walk(path, &mut reader, syntax, size, |_| true);
    }
    let left = reader.stream_position().map_err(unreadable(path))?;
    let largest = max_inflated(size - left.min(size)).min(LARGEST_SLICE_BYTES);
    let mut elements = Vec::new();
    DeflateDecoder::new(reader)
        .take(largest + 1)
        .read_to_end(&mut elements)
        .map_err(|error| damaged(path, &error))?;
    if elements.len() as u64 > largest {
        return Err(Error::refused(
            path,
            format!("at most {largest} bytes behind the deflated header"),
            "more",
            "write it without deflate, e.g. with `dcmconv +te`; it may be made to do harm",
        ));
    }
    let size = elements.len() as u64;
    walk(path, &mut Cursor::new(elements), syntax, size, |_| true)
}

/// Looks at the elements as long as their group is `wanted`.
fn walk<S: Read + Seek>(
    path: &Path,
    source: &mut S,
    syntax: &TransferSyntax,
    size: u64,
    wanted: impl Fn(u16) -> bool,
) -> Result<()> {
    let mut elements =
        LazyDataSetReader::new_with_ts(source, syntax).map_err(|error| damaged(path, &error))?;
    let mut depth = 0usize;
    // An error of the walk is the parser's to tell, which meets it too.
    while let Some(Ok(token)) = elements.advance() {
        let (length, left) = match &token {
            LazyDataToken::ElementHeader(header) | LazyDataToken::LazyValue { header, .. }
                if !wanted(header.tag.group()) =>
            {
                break;
            }
            LazyDataToken::LazyValue { header, decoder } => {
                (header.len.0, size.saturating_sub(decoder.position()))
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                (*len, size.saturating_sub(decoder.position()))
            }
            LazyDataToken::SequenceStart { .. } => {
                depth += 1;
                if depth > DEEPEST {
                    let found = format!("sequences {depth} deep");
                    return Err(Error::refused(
                        path,
                        "a DICOM file",
                        found,
                        "the file is damaged or made to do harm",
                    ));
                }
                continue;
            }
            LazyDataToken::SequenceEnd => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ => continue,
        };
        if u64::from(length) > left {
            return Err(Error::refused(
                path,
                format!("a value of {length} bytes, as its element promises"),
                format!("{left} bytes to the end of the file"),
                "the file is damaged or cut short: copy it again",
            ));
        }
        if token.skip().is_err() {
            break;
        }
    }
    Ok(())
}
