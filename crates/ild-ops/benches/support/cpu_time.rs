//! What the benches measure: CPU time of the process (all threads), because on a shared machine wall
//! time says more about the neighbours. `ILD_BENCH=wall` measures wall time instead.

use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// CPU time of all threads of this process.
pub struct CpuTime(WallTime);

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        ild_cli::cpu_time().unwrap_or_default()
    }

    fn end(&self, start: Duration) -> Duration {
        ild_cli::cpu_time().unwrap_or_default() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

/// Runs `wall` or `cpu`, whichever is asked for.
pub fn run(wall: impl FnOnce(&mut Criterion<WallTime>), cpu: impl FnOnce(&mut Criterion<CpuTime>)) {
    ild_cli::keep_freed_memory(); // as every ild binary does
    if std::env::var("ILD_BENCH").is_ok_and(|choice| choice == "wall") {
        wall(&mut Criterion::default().configure_from_args());
    } else {
        cpu(&mut Criterion::default().with_measurement(CpuTime(WallTime)).configure_from_args());
    }
}
