//! How processes that were started apart find each other: the first tells the others a few bytes, over TCP.
//!
//! Who is who comes from the variables that `torchrun` sets, and that a Slurm script can: `RANK`, `WORLD_SIZE`, `LOCAL_RANK`,
//! `MASTER_ADDR`, `MASTER_PORT`. `torchrun` itself listens on that port, so the next one is used.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long processes wait for the last one to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two attempts to reach the first process, and most for one answer.
const PAUSE: Duration = Duration::from_millis(100);

/// The place of a process among those that train together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 0, over all machines.
    pub rank: usize,
    /// How many processes there are.
    pub count: usize,
    /// From 0, on this machine: its GPU.
    pub local_rank: usize,
    /// `host:port` of the first process.
    pub first: String,
}

impl Place {
    /// `None` where one process trains alone.
    ///
    /// # Errors
    /// When a variable is missing or is no number.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let number = |name: &str| -> Result<usize> {
            let text = variable(name)
                .ok_or_else(|| Error::Settings(format!("WORLD_SIZE is set, {name} is not; start with torchrun, or set it")))?;
            text.parse().map_err(|_| Error::Settings(format!("{name}: expected a number, found `{text}`")))
        };
        if variable("WORLD_SIZE").is_none_or(|count| count == "1") {
            return Ok(None);
        }
        let (rank, count) = (number("RANK")?, number("WORLD_SIZE")?);
        if rank >= count {
            return Err(Error::Settings(format!("RANK: expected 0 to {}, found {rank}", count.saturating_sub(1))));
        }
        let host = variable("MASTER_ADDR").unwrap_or_else(|| "127.0.0.1".to_owned());
        let first = format!("{host}:{}", number("MASTER_PORT")? + 1);
        Ok(Some(Self { rank, count, local_rank: number("LOCAL_RANK")?, first }))
    }

    /// The bytes that the first process makes, in every process.
    ///
    /// # Errors
    /// When not all processes have come after five minutes.
    pub fn share<const N: usize>(&self, make: impl FnOnce() -> Result<[u8; N]>) -> Result<[u8; N]> {
        let failed = |what: &str| Error::Settings(format!("process {} of {}: {what} ({})", self.rank, self.count, self.first));
        if self.rank > 0 {
            return self.ask().ok_or_else(|| failed("the first process was not reached"));
        }
        let bytes = make()?;
        let missing = self.tell(&bytes).map_err(|error| failed(&error.to_string()))?;
        if missing > 0 {
            return Err(failed(&format!("{missing} processes have not come")));
        }
        Ok(bytes)
    }

    /// Answers the others; returns how many have not come.
    fn tell(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let listener = TcpListener::bind(&self.first)?;
        listener.set_nonblocking(true)?;
        let mut missing: BTreeSet<u32> = (1..self.count as u32).collect();
        let started = Instant::now();
        while !missing.is_empty() && started.elapsed() < PATIENCE {
            match listener.accept() {
                Ok((stream, _)) => {
                    // Whoever else knocks is sent away.
                    if let Ok(rank) = answer(stream, bytes, &missing) {
                        missing.remove(&rank);
                    }
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
        Ok(missing.len())
    }

    /// Asks the first process until it answers.
    fn ask<const N: usize>(&self) -> Option<[u8; N]> {
        let once = || -> std::io::Result<[u8; N]> {
            let mut stream = TcpStream::connect(&self.first)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&(self.rank as u32).to_le_bytes())?;
            let mut bytes = [0; N];
            stream.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Ok(bytes) = once() {
                return Some(bytes);
            }
            std::thread::sleep(PAUSE);
        }
        None
    }
}

fn answer(mut stream: TcpStream, bytes: &[u8], missing: &BTreeSet<u32>) -> std::io::Result<u32> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PAUSE))?;
    let mut rank = [0; 4];
    stream.read_exact(&mut rank)?;
    let rank = u32::from_le_bytes(rank);
    if !missing.contains(&rank) {
        return Err(std::io::Error::other("not one of us"));
    }
    stream.write_all(bytes)?;
    Ok(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Option<Place>> {
        Place::from_variables(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_place_is_read_from_torchruns_variables() {
        assert_eq!(place(&[]).unwrap(), None);
        assert_eq!(place(&[("WORLD_SIZE", "1")]).unwrap(), None);
        let all = [("WORLD_SIZE", "8"), ("RANK", "5"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "node0"), ("MASTER_PORT", "29500")];
        let expected = Place { rank: 5, count: 8, local_rank: 1, first: "node0:29501".to_owned() };
        assert_eq!(place(&all).unwrap(), Some(expected));
        assert!(place(&[("WORLD_SIZE", "2"), ("RANK", "0")]).unwrap_err().to_string().contains("MASTER_PORT is not"));
        assert!(place(&[("WORLD_SIZE", "2"), ("RANK", "2"), ("MASTER_PORT", "1")]).unwrap_err().to_string().contains("expected 0 to 1"));
    }

    #[test]
    fn every_process_gets_the_bytes_of_the_first_and_a_stranger_gets_none() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = |rank| Place { rank, count: 3, local_rank: rank, first: format!("127.0.0.1:{port}") };
        std::thread::scope(|scope| {
            let others: Vec<_> = [2, 1].map(|rank| scope.spawn(move || place(rank).share(|| Ok([0u8; 128])))).into();
            let stranger = scope.spawn(move || {
                let stranger = Place { rank: 7, ..place(0) };
                let mut stream = loop {
                    if let Ok(stream) = TcpStream::connect(&stranger.first) {
                        break stream;
                    }
                };
                stream.write_all(&7u32.to_le_bytes()).unwrap();
                let mut byte = [0];
                stream.read(&mut byte).unwrap_or(0)
            });
            std::thread::sleep(2 * PAUSE); // the others come first
            assert_eq!(place(0).share(|| Ok([42u8; 128])).unwrap(), [42; 128]);
            for other in others {
                assert_eq!(other.join().unwrap().unwrap(), [42; 128]);
            }
            assert_eq!(stranger.join().unwrap(), 0);
        });
    }
}
