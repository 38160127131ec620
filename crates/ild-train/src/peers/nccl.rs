//! [`Peers`] over NCCL: one process for each GPU, started and introduced to each other by MPI.
//!
//! Sums travel through a buffer on the GPU. Has never run: it needs two GPUs.

use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, CudaStream, DeviceRepr, ValidAsZeroBits};
use cudarc::nccl::{Comm, Id, NcclType, ReduceOp};

use crate::error::{Error, Result};
use crate::peers::Peers;
use crate::peers::mpi::MpiPeers;

/// All processes that `mpirun` (or Slurm) started together.
pub struct NcclPeers {
    processes: MpiPeers,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    connection: Mutex<Connection>,
}

/// Length of NCCL's id.
const ID_BYTES: usize = 128;

struct Connection(Comm);

// SAFETY: NCCL lets any thread use a communicator as long as one does at a time, which the mutex
// sees to.
unsafe impl Send for Connection {}

impl NcclPeers {
    /// Joins `processes` on the GPU with the index `gpu`.
    ///
    /// # Errors
    /// When the GPU is not there, or NCCL does not reach the others.
    pub(crate) fn join(processes: MpiPeers, gpu: usize) -> Result<Self> {
        let failed = |what: &str| Error::Settings(format!("NCCL: {what}"));
        let context =
            CudaContext::new(gpu).map_err(|error| failed(&format!("no GPU {gpu}: {error:?}")))?;
        let stream = context.new_stream().map_err(|error| failed(&format!("{error:?}")))?;
        // The others add zeros, so that all get the id that the first process made.
        let mut bytes = [0f32; ID_BYTES];
        if processes.rank() == 0 {
            let id = Id::new().map_err(|error| failed(&format!("{error:?}")))?;
            bytes = id.internal().map(|byte| f32::from(byte as u8));
        }
        processes.sum_f32(&mut bytes);
        let id = Id::uninit(bytes.map(|byte| byte as u8 as std::ffi::c_char));
        let (rank, count) = (processes.rank(), processes.count());
        let connection = Comm::from_rank(Arc::clone(&stream), rank, count, id)
            .map_err(|error| failed(&format!("{error:?}")))?;
        Ok(Self { processes, context, stream, connection: Mutex::new(Connection(connection)) })
    }

    fn sum<T: NcclType + DeviceRepr + ValidAsZeroBits>(&self, values: &mut [T]) {
        if values.is_empty() {
            return;
        }
        if let Err(error) = self.try_sum(values) {
            // As MPI does: without this sum no process can go on.
            tracing::error!("process {}: NCCL: {error}", self.rank());
            self.abort(1);
        }
    }

    fn try_sum<T: NcclType + DeviceRepr + ValidAsZeroBits>(
        &self,
        values: &mut [T],
    ) -> std::result::Result<(), String> {
        let said = |error| format!("{error:?}");
        self.context.bind_to_thread().map_err(said)?;
        let mut there = self.stream.clone_htod(&*values).map_err(said)?;
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .0
            .all_reduce_in_place(&mut there, &ReduceOp::Sum)
            .map_err(|error| format!("{error:?}"))?;
        self.stream.memcpy_dtoh(&there, values).map_err(said)?;
        self.stream.synchronize().map_err(said)
    }
}

impl Peers for NcclPeers {
    fn rank(&self) -> usize {
        self.processes.rank()
    }

    fn count(&self) -> usize {
        self.processes.count()
    }

    fn sum_f32(&self, values: &mut [f32]) {
        self.sum(values);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.sum(values);
    }

    fn abort(&self, code: i32) {
        self.processes.abort(code);
    }
}
