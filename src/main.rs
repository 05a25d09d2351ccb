//! The server's program: see `parlor --help`.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Returns the memory of a burst to the system some seconds later, unlike the C library's
/// allocator: `bench/PROFILE.md` has the figures.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    parlor::run()
}
