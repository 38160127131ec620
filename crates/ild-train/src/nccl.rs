//! [`Peers`] over NCCL: one process for each GPU, started by `torchrun` or a script that sets the same variables.
//!
//! Sums travel through a buffer on the GPU. Has never run: it needs two GPUs.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaStream, DeviceRepr, ValidAsZeroBits};
use candle_core::cuda_backend::cudarc::nccl::{Comm, Id, NcclType, ReduceOp};

use crate::error::{Error, Result};
use crate::peers::Peers;
use crate::rendezvous::Place;

/// All processes with the same `MASTER_ADDR` and `MASTER_PORT`.
pub struct NcclPeers {
    place: Place,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    connection: Mutex<Connection>,
}

struct Connection(Comm);

// SAFETY: NCCL lets any thread use a communicator as long as one does at a time, which the mutex sees to.
unsafe impl Send for Connection {}

impl NcclPeers {
    /// Joins the others on the GPU of this process's place.
    ///
    /// # Errors
    /// When the GPU is not there, or not all processes come.
    pub(crate) fn join(place: Place) -> Result<Self> {
        let failed = |what: &str| Error::Settings(format!("NCCL: {what}"));
        let context = CudaContext::new(place.local_rank).map_err(|error| failed(&format!("no GPU {}: {error:?}", place.local_rank)))?;
        let stream = context.new_stream().map_err(|error| failed(&format!("{error:?}")))?;
        let bytes = place.share(|| {
            let id = Id::new().map_err(|error| failed(&format!("{error:?}")))?;
            Ok(id.internal().map(|byte| byte as u8))
        })?;
        let id = Id::uninit(bytes.map(|byte| byte as std::ffi::c_char));
        let connection =
            Comm::from_rank(Arc::clone(&stream), place.rank, place.count, id).map_err(|error| failed(&format!("{error:?}")))?;
        Ok(Self { place, context, stream, connection: Mutex::new(Connection(connection)) })
    }

    fn sum<T: NcclType + DeviceRepr + ValidAsZeroBits>(&self, values: &mut [T]) {
        if values.is_empty() {
            return;
        }
        if let Err(error) = self.try_sum(values) {
            // As MPI does: without this sum no process can go on.
            tracing::error!("process {}: NCCL: {error}", self.place.rank);
            self.abort(1);
        }
    }

    fn try_sum<T: NcclType + DeviceRepr + ValidAsZeroBits>(&self, values: &mut [T]) -> std::result::Result<(), String> {
        let said = |error| format!("{error:?}");
        self.context.bind_to_thread().map_err(said)?;
        let mut there = self.stream.clone_htod(&*values).map_err(said)?;
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.0.all_reduce_in_place(&mut there, &ReduceOp::Sum).map_err(|error| format!("{error:?}"))?;
        self.stream.memcpy_dtoh(&there, values).map_err(said)?;
        self.stream.synchronize().map_err(said)
    }
}

impl Peers for NcclPeers {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn count(&self) -> usize {
        self.place.count
    }

    fn sum_f32(&self, values: &mut [f32]) {
        self.sum(values);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.sum(values);
    }

    /// Ends this process; `torchrun`, or `srun --kill-on-bad-exit`, ends the others.
    fn abort(&self, code: i32) {
        std::process::exit(code);
    }
}
