//! A fake NVIDIA management library for tests: the functions that `tokenpath-gpu` calls, with the
//! numbers of an H200, steered by a control file while the program under test runs.
//!
//! As a `cdylib` it is the driver library to load. As an `rlib` it gives a test its copy of that
//! library and writes the control file: see [`Fake`].
//!
//! The control file lies beside the library, named like it with `.control` behind. It is read again
//! whenever it was replaced. A line is one of:
//!
//! ```text
//! count 8                              GPUs there are
//! order 2,0,1                          the GPU that each index means: renumbering
//! init 9                               nvmlInit_v2 says this code
//! code nvmlDeviceGetPowerUsage 0 15    a function says this code for a GPU; * means any
//! code nvmlDeviceGetNvLinkState:5 0 15 the same for one NVLink alone
//! hang nvmlDeviceGetPowerUsage         a function (or *) does not return while this line stands
//! value nvmlDeviceGetPowerUsage 0 5    a number in NVML's unit; * means any GPU; none = not supported
//! value field:138:4294967295 0 5        a field by its id and scope, or without the scope for all
//! narrow 197                           a field that comes as a 32-bit number, wrapped
//! text nvmlDeviceGetName 0 4eff        text as hexadecimal bytes
//! xid 0 79 2                           so many XID errors of a code have happened on a GPU
//! mig 0 7 9                            the GPU is partitioned into GPU instances of these ids
//! process 0 4711 1024 compute          a process, its memory in bytes, compute or graphics
//! process 0 4711 1024 compute 9        the same in a GPU instance
//! unprivileged                         processes of a partitioned GPU are listed by its MIG devices only
//! static                               the file is not looked at again: for measurements
//! ```
//!
//! Nothing of it is fit for anything but tests.

mod api;
mod control;
mod defaults;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A copy of the fake library with a control file of its own.
///
/// A copy, because the dynamic linker gives every program that loads the same file the same library,
/// with one state.
#[derive(Debug)]
pub struct Fake {
    library: PathBuf,
    control: PathBuf,
}

impl Fake {
    /// Puts a copy into a folder.
    ///
    /// # Errors
    ///
    /// Where the library was not built beside the running test, or cannot be copied.
    pub fn install(folder: &Path) -> io::Result<Self> {
        Self::install_without(folder, &[])
    }

    /// As [`install`](Self::install), of a library that lacks functions: their names are overwritten in
    /// the copy, so that the dynamic linker does not find them.
    ///
    /// # Errors
    ///
    /// As [`install`](Self::install), and where a function is not there in the first place.
    pub fn install_without(folder: &Path, functions: &[&str]) -> io::Result<Self> {
        let mut library = fs::read(built()?)?;
        for function in functions {
            let name = [b"\0", function.as_bytes(), b"\0"].concat();
            let places: Vec<usize> = library
                .windows(name.len())
                .enumerate()
                .filter_map(|(at, window)| (window == name).then_some(at))
                .collect();
            if places.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, *function));
            }
            for at in places {
                library[at + 1] = b'X';
            }
        }
        let path = folder.join("libnvidia-ml.so.1");
        fs::write(&path, library)?;
        Ok(Self {
            control: control::beside(&path),
            library: path,
        })
    }

    /// The path of the library.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Replaces the control file, in one step.
    ///
    /// # Panics
    ///
    /// Where it cannot be written.
    pub fn control(&self, lines: &str) {
        let new = self.control.with_extension("new");
        fs::write(&new, lines).expect("the folder of a test can be written to");
        fs::rename(&new, &self.control).expect("a file beside can be renamed");
    }
}

/// Where cargo put the library: beside the running test, or one folder up for programs.
fn built() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program
        .ancestors()
        .skip(1)
        .take(3)
        .flat_map(|folder| [folder.to_owned(), folder.join("deps")])
        .map(|folder| folder.join("libtokenpath_fake_nvml.so"))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "libtokenpath_fake_nvml.so is not beside the program: cargo build -p tokenpath-fake-nvml",
            )
        })
}
