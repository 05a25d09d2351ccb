//! The figures of the process, by the names that Prometheus's own libraries give them. Read from `/proc`,
//! so there are none outside Linux.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

/// The figures of this process, read at each scrape.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    #[cfg(target_os = "linux")]
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Where `/proc` is hidden, the rest of the figures is still of use.
        linux::Figures::read().map_or(Ok(()), |figures| figures.encode(encoder))
    }

    #[cfg(not(target_os = "linux"))]
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::{ProcResult, WithCurrentSystemInfo, process};
    use prometheus_client::{
        encoding::{DescriptorEncoder, EncodeMetric},
        metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    };
    use rlimit::Resource;

    /// The figures of one scrape.
    pub struct Figures {
        cpu_seconds: f64,
        start_seconds: f64,
        resident_bytes: u64,
        virtual_bytes: u64,
        threads: i64,
        open_files: usize,
        max_files: u64,
    }

    impl Figures {
        /// Reads them; none when `/proc` cannot be read.
        pub fn read() -> Option<Self> {
            Self::try_read().ok()
        }

        fn try_read() -> ProcResult<Self> {
            let (process, ticks) = (process::Process::myself()?, procfs::ticks_per_second());
            let stat = process.stat()?;
            let seconds = |count: u64| count as f64 / ticks as f64;
            Ok(Self {
                cpu_seconds: seconds(stat.utime + stat.stime),
                start_seconds: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
                resident_bytes: stat.rss_bytes().get(),
                virtual_bytes: stat.vsize,
                threads: stat.num_threads,
                open_files: process.fd_count()?,
                max_files: Resource::NOFILE.get_soft()?,
            })
        }

        /// Writes them.
        pub fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut counter = |name, help, value: f64| {
                let counter = ConstCounter::new(value);
                counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
            };
            counter(
                "process_cpu_seconds",
                "User and system time of the process, in seconds.",
                self.cpu_seconds,
            )?;
            let mut gauge = |name, help, value: f64| {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
            };
            gauge(
                "process_start_time_seconds",
                "Start of the process, in seconds since 1970.",
                self.start_seconds,
            )?;
            gauge(
                "process_resident_memory_bytes",
                "Resident memory of the process.",
                self.resident_bytes as f64,
            )?;
            gauge(
                "process_virtual_memory_bytes",
                "Virtual memory of the process.",
                self.virtual_bytes as f64,
            )?;
            gauge(
                "process_threads",
                "Threads of the process.",
                self.threads as f64,
            )?;
            gauge(
                "process_open_fds",
                "Open files of the process.",
                self.open_files as f64,
            )?;
            gauge(
                "process_max_fds",
                "Limit of open files of the process.",
                self.max_files as f64,
            )
        }
    }
}
