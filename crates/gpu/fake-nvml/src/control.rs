//! The control file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The control file of a library.
pub(crate) fn beside(library: &Path) -> PathBuf {
    let mut name = library.as_os_str().to_owned();
    name.push(".control");
    name.into()
}

/// A process on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) gpu: u32,
    pub(crate) pid: u32,
    pub(crate) bytes: u64,
    pub(crate) graphics: bool,
    /// The GPU instance it runs in.
    pub(crate) instance: Option<u32>,
}

/// What the control file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    pub(crate) count: Option<u32>,
    pub(crate) order: Vec<u32>,
    pub(crate) init: u32,
    codes: HashMap<(String, Option<u32>), u32>,
    hangs: HashSet<String>,
    narrow: HashSet<u32>,
    values: HashMap<(String, Option<u32>), Option<f64>>,
    texts: HashMap<(String, Option<u32>), Vec<u8>>,
    pub(crate) xids: Vec<(u32, u64, u64)>,
    pub(crate) mig: HashMap<u32, Vec<u32>>,
    pub(crate) processes: Vec<Process>,
    pub(crate) unprivileged: bool,
    fixed: bool,
}

impl Control {
    fn parse(text: &str) -> Self {
        let mut control = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            let small = |at: usize| words[at].parse::<u32>().expect("a small number");
            let gpu = |at: usize| (words[at] != "*").then(|| small(at));
            match words.first().copied() {
                None | Some("#") => {}
                Some("count") => control.count = Some(small(1)),
                Some("order") => {
                    control.order = words[1]
                        .split(',')
                        .map(|it| it.parse().expect("an index"))
                        .collect();
                }
                Some("init") => control.init = small(1),
                Some("code") => {
                    control.codes.insert((words[1].into(), gpu(2)), small(3));
                }
                Some("hang") => {
                    control.hangs.insert(words[1].into());
                }
                Some("narrow") => {
                    control.narrow.insert(small(1));
                }
                Some("value") => {
                    let value = (words[3] != "none").then(|| words[3].parse().expect("a number"));
                    control.values.insert((words[1].into(), gpu(2)), value);
                }
                Some("text") => {
                    let bytes = (0..words[3].len())
                        .step_by(2)
                        .map(|at| u8::from_str_radix(&words[3][at..at + 2], 16).expect("hex"))
                        .collect();
                    control.texts.insert((words[1].into(), gpu(2)), bytes);
                }
                Some("xid") => control.xids.push((small(1), number(2), number(3))),
                Some("mig") => {
                    let instances = (2..words.len()).map(small).collect();
                    control.mig.insert(small(1), instances);
                }
                Some("process") => {
                    control.processes.push(Process {
                        gpu: small(1),
                        pid: small(2),
                        bytes: number(3),
                        graphics: words[4] == "graphics",
                        instance: (words.len() > 5).then(|| small(5)),
                    });
                }
                Some("unprivileged") => control.unprivileged = true,
                Some("static") => control.fixed = true,
                Some(other) => panic!("the control file has an unknown line: {other}"),
            }
        }
        control
    }

    pub(crate) fn code(&self, function: &str, gpu: Option<u32>) -> u32 {
        if self.codes.is_empty() {
            return 0;
        }
        let any = || "*".to_owned();
        [
            (function.to_owned(), gpu),
            (any(), gpu),
            (function.to_owned(), None),
            (any(), None),
        ]
        .iter()
        .find_map(|key| self.codes.get(key))
        .copied()
        .unwrap_or(0)
    }

    /// The code of a part of a function, without those of any function.
    pub(crate) fn own_code(&self, part: &str, gpu: u32) -> u32 {
        let of = |gpu| self.codes.get(&(part.to_owned(), gpu)).copied();
        of(Some(gpu)).or_else(|| of(None)).unwrap_or(0)
    }

    /// `Some(None)` is a number that this GPU does not support.
    pub(crate) fn value(&self, key: &str, gpu: u32) -> Option<Option<f64>> {
        if self.values.is_empty() {
            return None;
        }
        [Some(gpu), None]
            .into_iter()
            .find_map(|gpu| self.values.get(&(key.to_owned(), gpu)))
            .copied()
    }

    pub(crate) fn text(&self, function: &str, gpu: u32) -> Option<&[u8]> {
        [Some(gpu), None]
            .into_iter()
            .find_map(|gpu| self.texts.get(&(function.to_owned(), gpu)))
            .map(Vec::as_slice)
    }

    /// Whether a field has 32 bits.
    pub(crate) fn is_narrow(&self, field: u32) -> bool {
        self.narrow.contains(&field)
    }

    pub(crate) fn hangs(&self, function: &str) -> bool {
        !self.hangs.is_empty() && (self.hangs.contains(function) || self.hangs.contains("*"))
    }
}

#[derive(Default)]
pub(crate) struct State {
    control: Control,
    seen: Option<(u64, i64, i64, u64)>,
    pub(crate) initialised: u32,
    /// The GPU of each event set, and how many events of each code it has been given.
    pub(crate) event_sets: HashMap<usize, (u32, HashMap<u64, u64>)>,
    pub(crate) gpm_samples: HashSet<usize>,
    /// The GPU, and the GPU instance, that each sample is of.
    pub(crate) gpm_of: HashMap<usize, (u32, Option<u32>)>,
    pub(crate) next_handle: usize,
}

fn state() -> MutexGuard<'static, State> {
    static STATE: OnceLock<Mutex<State>> = OnceLock::new();
    STATE
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn refresh(&mut self) {
        if self.control.fixed {
            return;
        }
        let path = own_control();
        let Ok(meta) = fs::metadata(path) else { return };
        let seen = (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len());
        if self.seen == Some(seen) {
            return;
        }
        let Ok(text) = fs::read_to_string(path) else {
            return;
        };
        self.seen = Some(seen);
        // A file that a person is still writing must not end the program that loaded us.
        match catch_unwind(|| Control::parse(&text)) {
            Ok(control) => self.control = control,
            Err(_) => eprintln!("{}: not understood, the last one stands", path.display()),
        }
    }
}

/// The state after the control file was looked at; waits while the function is to hang.
pub(crate) fn enter<T>(function: &str, work: impl FnOnce(&Control, &mut State) -> T) -> T {
    loop {
        let mut state = state();
        state.refresh();
        if !state.control.hangs(function) {
            let control = std::mem::take(&mut state.control);
            let result = work(&control, &mut state);
            state.control = control;
            return result;
        }
        drop(state);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The control file beside the library that this very code is in.
fn own_control() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let here = own_control as *const () as usize;
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let library = maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let from = usize::from_str_radix(from, 16).ok()?;
            let to = usize::from_str_radix(to, 16).ok()?;
            let path = &rest[rest.find('/')?..];
            (from..to).contains(&here).then(|| path.to_owned())
        });
        beside(Path::new(&library.unwrap_or_default()))
    })
}
