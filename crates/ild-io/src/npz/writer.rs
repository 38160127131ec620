//! Arrays → zip entries, each one deflate stream straight from the array's memory.
//!
//! Sizes and checksum are known before an entry is written, so its header needs no second visit. Layout: PKWARE's APPNOTE 6.3,
//! 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends), 4.5.3 (sizes of 4 GiB and more).

use std::io::{self, Write};

use ndarray::ArrayViewD;
use zlib_rs::{DeflateConfig, ReturnCode, Strategy};

use crate::npy::{NpyElement, NpyHeader};

/// Runs of one value and Huffman codes, no search for repeats farther back. A windowed CT is noise between black and white: the
/// search finds nothing there that pays, and left out it gives files as small as those of level 2 in two thirds of the time.
const BYTES: (i32, Strategy) = (2, Strategy::Rle);
/// Wider numbers repeat at distances of their own size.
const NUMBERS: (i32, Strategy) = (2, Strategy::Default);
/// A deflate stream without zlib's header.
const RAW_WINDOW_BITS: i32 = -15;

/// First version of zip that knows sizes of 4 GiB and more; readers of before know the rest.
const VERSION: u16 = 45;
const DEFLATED: u16 = 8;
/// 1 January 1980, the zip calendar's beginning: the same arrays are the same file whenever they are written.
const DATE: u16 = 0x21;
/// Regular file, readable by all, in the upper half, where Unix keeps it.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// An NPZ being written.
pub struct NpzWriter<'a> {
    file: &'a mut dyn Write,
    position: u64,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    crc: u32,
    deflated: u64,
    plain: u64,
    offset: u64,
}

impl<'a> NpzWriter<'a> {
    pub(super) fn new(file: &'a mut dyn Write) -> Self {
        Self { file, position: 0, entries: Vec::new() }
    }

    /// Adds `array` as `key`, deflated; more than 4 GiB is fine (zip64).
    ///
    /// # Errors
    /// When it cannot be written, or `key` is there already.
    pub fn add<T: NpyElement>(&mut self, key: &str, array: &ArrayViewD<T>) -> io::Result<()> {
        let name = format!("{key}.npy");
        if self.entries.iter().any(|entry| entry.name == name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("the key {key} was given twice")));
        }
        let standard = array.as_standard_layout();
        let values: &[u8] = bytemuck::cast_slice(standard.as_slice().unwrap_or_default());
        let header = stored_block(&NpyHeader::bytes(T::DESCR, array.shape()));
        let data = deflate(values, if size_of::<T>() == 1 { BYTES } else { NUMBERS })?;

        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[STORED_BLOCK_HEAD..]);
        crc.update(values);
        let entry = Entry {
            name,
            crc: crc.finalize(),
            deflated: (header.len() + data.len()) as u64,
            plain: (header.len() - STORED_BLOCK_HEAD + values.len()) as u64,
            offset: self.position,
        };
        self.put(&entry.local_header())?;
        self.put(&header)?;
        self.put(&data)?;
        self.entries.push(entry);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let start = self.position;
        let directory: Vec<u8> = self.entries.iter().flat_map(Entry::directory_line).collect();
        self.put(&directory)?;
        let (count, bytes, end) = (self.entries.len() as u64, directory.len() as u64, self.position);
        let mut tail = Bytes::default();
        if start >= u64::from(u32::MAX) {
            tail.u32(0x0606_4b50).u64(44).u16(VERSION).u16(VERSION).u32(0).u32(0).u64(count).u64(count).u64(bytes).u64(start);
            tail.u32(0x0706_4b50).u32(0).u64(end).u32(1);
        }
        let count = u16::try_from(count).map_err(|_| io::Error::other("more arrays than an NPZ can hold"))?;
        tail.u32(0x0605_4b50).u16(0).u16(0).u16(count).u16(count).u32(short(bytes)).u32(short(start)).u16(0);
        self.put(&tail.0)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

impl Entry {
    fn local_header(&self) -> Vec<u8> {
        let long = self.long_sizes();
        let mut out = Bytes::default();
        out.u32(0x0403_4b50).u16(VERSION).u16(0).u16(DEFLATED).u16(0).u16(DATE).u32(self.crc);
        // Here both sizes are long or none is.
        let [deflated, plain] = if long { [u32::MAX; 2] } else { [short(self.deflated), short(self.plain)] };
        out.u32(deflated).u32(plain).u16(self.name.len() as u16).u16(if long { 20 } else { 0 }).bytes(self.name.as_bytes());
        if long {
            out.u16(1).u16(16).u64(self.plain).u64(self.deflated);
        }
        out.0
    }

    fn directory_line(&self) -> Vec<u8> {
        let long = self.long_sizes() || self.offset >= u64::from(u32::MAX);
        let mut out = Bytes::default();
        out.u32(0x0201_4b50).u16(3 << 8 | VERSION).u16(VERSION).u16(0).u16(DEFLATED).u16(0).u16(DATE).u32(self.crc);
        let [deflated, plain, offset] = if long { [u32::MAX; 3] } else { [self.deflated, self.plain, self.offset].map(short) };
        out.u32(deflated).u32(plain).u16(self.name.len() as u16).u16(if long { 28 } else { 0 }).u16(0).u16(0).u16(0);
        out.u32(ATTRIBUTES).u32(offset).bytes(self.name.as_bytes());
        if long {
            out.u16(1).u16(24).u64(self.plain).u64(self.deflated).u64(self.offset);
        }
        out.0
    }

    fn long_sizes(&self) -> bool {
        self.plain.max(self.deflated) >= u64::from(u32::MAX)
    }
}

/// As 32 bits, or all ones for "see the long form".
fn short(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Little-endian fields in a row.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
}

/// Bytes of a stored block before its data: its kind, its length, and the length's complement (RFC 1951, 3.2.4).
const STORED_BLOCK_HEAD: usize = 5;

/// A deflate block that holds `bytes` as they are and is not the last; the stream goes on at a whole byte behind it.
fn stored_block(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or_else(|_| unreachable!("an NPY header of ours has some hundred bytes"));
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

fn deflate(bytes: &[u8], (level, strategy): (i32, Strategy)) -> io::Result<Vec<u8>> {
    let config = DeflateConfig { window_bits: RAW_WINDOW_BITS, strategy, ..DeflateConfig::new(level) };
    let mut out = vec![0; zlib_rs::compress_bound(bytes.len())];
    let (written, code) = zlib_rs::compress_slice(&mut out, bytes, config);
    let length = written.len();
    if code != ReturnCode::Ok {
        return Err(io::Error::other(format!("deflate ended with {code:?}")));
    }
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sizes_stand_in_the_long_form_only() {
        let entry = |plain: u64, offset: u64| Entry { name: "imgs.npy".into(), crc: 7, deflated: 5, plain, offset };
        let (near, large, far) = (entry(100, 9), entry(5 << 30, 9), entry(100, 5 << 30));
        assert_eq!(near.local_header().len(), 30 + 8);
        assert_eq!(near.directory_line().len(), 46 + 8);
        assert_eq!(large.local_header()[18..26], [0xff; 8]);
        assert_eq!(large.local_header()[42..50], (5u64 << 30).to_le_bytes());
        assert_eq!(far.local_header().len(), 30 + 8, "the offset is not in the local header");
        assert_eq!(far.directory_line()[74..82], (5u64 << 30).to_le_bytes());
    }
}
