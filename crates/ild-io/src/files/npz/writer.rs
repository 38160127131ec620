//! Arrays → zip entries, each one deflate stream straight from the array's memory.

use std::io::{self, Write};

use ndarray::ArrayViewD;
use rawzip::{CompressionMethod, DataDescriptorOutput, ZipArchiveWriter};
use zlib_rs::{DeflateConfig, ReturnCode, Strategy};

use crate::files::npy::{NpyElement, NpyHeader};

/// Runs of one value and Huffman codes, no search for repeats farther back. A windowed CT is noise
/// between black and white: the search finds nothing there that pays, and left out it gives files
/// as small as those of level 2 in two thirds of the time.
const BYTES: (i32, Strategy) = (2, Strategy::Rle);
/// Wider numbers repeat at distances of their own size.
const NUMBERS: (i32, Strategy) = (2, Strategy::Default);
/// A deflate stream without zlib's header.
const RAW_WINDOW_BITS: i32 = -15;
/// Readable by all.
const PERMISSIONS: u32 = 0o644;

/// An NPZ being written.
pub struct NpzWriter<'a> {
    zip: ZipArchiveWriter<&'a mut dyn Write>,
    names: Vec<String>,
}

impl<'a> NpzWriter<'a> {
    pub(super) fn new(file: &'a mut dyn Write) -> Self {
        Self { zip: ZipArchiveWriter::new(file), names: Vec::new() }
    }

    /// Adds `array` as `key`, deflated; more than 4 GiB is fine (zip64).
    ///
    /// # Errors
    /// When it cannot be written, or `key` is there already.
    pub fn add<T: NpyElement>(&mut self, key: &str, array: &ArrayViewD<T>) -> io::Result<()> {
        let name = format!("{key}.npy");
        if self.names.contains(&name) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("the key {key} was given twice"),
            ));
        }
        let standard = array.as_standard_layout();
        let values: &[u8] = bytemuck::cast_slice(standard.as_slice().unwrap_or_default());
        let header = stored_block(&NpyHeader::bytes(T::DESCR, array.shape()));
        let data = deflate(values, if size_of::<T>() == 1 { BYTES } else { NUMBERS })?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[STORED_BLOCK_HEAD..]);
        crc.update(values);
        let plain = (header.len() - STORED_BLOCK_HEAD + values.len()) as u64;

        let file = self
            .zip
            .new_file(name.as_str())
            .compression_method(CompressionMethod::DEFLATE)
            .unix_permissions(PERMISSIONS);
        let (mut entry, _) = file.start().map_err(io::Error::other)?;
        entry.write_all(&header)?;
        entry.write_all(&data)?;
        entry.finish(DataDescriptorOutput::new(crc.finalize(), plain)).map_err(io::Error::other)?;
        self.names.push(name);
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.zip.finish().map(|_| ()).map_err(io::Error::other)
    }
}

/// Bytes of a stored block before its data: its kind, its length, and the length's complement (RFC
/// 1951, 3.2.4).
const STORED_BLOCK_HEAD: usize = 5;

/// A deflate block that holds `bytes` as they are and is not the last; the stream goes on at a
/// whole byte behind it.
fn stored_block(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len())
        .unwrap_or_else(|_| unreachable!("an NPY header of ours has some hundred bytes"));
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

fn deflate(bytes: &[u8], (level, strategy): (i32, Strategy)) -> io::Result<Vec<u8>> {
    let config =
        DeflateConfig { window_bits: RAW_WINDOW_BITS, strategy, ..DeflateConfig::new(level) };
    let mut out = vec![0; zlib_rs::compress_bound(bytes.len())];
    let (written, code) = zlib_rs::compress_slice(&mut out, bytes, config);
    let length = written.len();
    if code != ReturnCode::Ok {
        return Err(io::Error::other(format!("deflate ended with {code:?}")));
    }
    out.truncate(length);
    Ok(out)
}
