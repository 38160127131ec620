//! [`Peers`] over MPI: `mpirun -n 2 ild-train …`.

use ::mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence};

use crate::error::{Error, Result};
use crate::peers::Peers;

/// All processes that `mpirun` (or Slurm) started together.
pub struct MpiPeers {
    /// Ends MPI when dropped.
    universe: Universe,
}

impl MpiPeers {
    /// Joins the others. Without `mpirun` there is one process.
    ///
    /// # Errors
    /// When MPI was started before, or cannot be called from the thread that trains.
    pub fn join() -> Result<Self> {
        let failed = |what: &str| Error::Settings(format!("MPI: {what}"));
        let (universe, threading) = mpi::initialize_with_threading(mpi::Threading::Serialized)
            .ok_or_else(|| failed("it was started before"))?;
        if threading < mpi::Threading::Serialized {
            return Err(failed(
                "this library only allows calls from the main thread; use one built with thread support",
            ));
        }
        Ok(Self { universe })
    }

    /// From 0, among the processes on this machine.
    #[cfg(feature = "nccl")]
    pub(crate) fn local_rank(&self) -> usize {
        self.universe.world().split_shared(0).rank().unsigned_abs() as usize
    }

    fn sum<T: Equivalence + Clone>(&self, values: &mut [T]) {
        let own = values.to_vec();
        self.universe.world().all_reduce_into(&own[..], values, SystemOperation::sum());
    }
}

impl Peers for MpiPeers {
    fn rank(&self) -> usize {
        self.universe.world().rank().unsigned_abs() as usize
    }

    fn count(&self) -> usize {
        self.universe.world().size().unsigned_abs() as usize
    }

    fn sum_f32(&self, values: &mut [f32]) {
        self.sum(values);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.sum(values);
    }

    fn abort(&self, code: i32) {
        self.universe.world().abort(code);
    }
}
