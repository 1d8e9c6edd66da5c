//! A layout memory says what a full parse says, page after page: values, lines, errors.
//!
//! Input: a byte of flags, then pages, each ended by a byte 0xff.

use std::collections::HashMap;

use tokenpath_core::exposition::{
    Entry, Exemplar, Format, Fresh, Layout, Limits, Options, ParseError, Parser, Reread, Sample,
    Variant,
};

/// Reads the pages with every variant.
pub(crate) fn check(input: &[u8]) {
    let Some((flags, pages)) = input.split_first() else {
        return;
    };
    let format = Format::ALL[usize::from(flags % 3)];
    let mut options = Options::new(format);
    if flags & 0x10 != 0 {
        options = options.lenient();
    }
    if flags & 0x20 != 0 {
        options = options.limits(Limits {
            line_bytes: 100,
            samples: 5,
            ..Limits::DEFAULT
        });
    }
    for mut reader in readers() {
        for page in pages.split(|byte| *byte == 0xff) {
            let _ = reader.read(page, options);
        }
    }
}

/// A reader of each variant that this machine has.
pub(crate) fn readers() -> Vec<Reader> {
    let reader = |variant| Reader {
        layout: Layout::new().with_variant(variant),
        heard: Heard::default(),
    };
    Variant::available().into_iter().map(reader).collect()
}

/// The ids that a layout gave.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    /// The ids of each series, in order.
    ids: HashMap<Vec<u8>, Vec<u32>>,
    count: u32,
}

impl Fresh for Heard {
    fn restart(&mut self) {
        *self = Self::default();
    }
    fn metadata(&mut self, _: &Entry<'_>) {}
    fn sample(&mut self, id: u32, sample: &Sample<'_>) {
        assert_eq!(id, self.count, "ids are given in order");
        self.count += 1;
        self.ids
            .entry(sample.series().to_vec())
            .or_default()
            .push(id);
    }
}

/// A series, the bits of its value, and its exemplar.
type Line = (Vec<u8>, u64, Option<String>);

/// An exemplar in words.
fn words(exemplar: Exemplar<'_>) -> String {
    let (labels, value) = (exemplar.labels(), exemplar.value().to_bits());
    format!("{labels:?} {value} {:?}", exemplar.timestamp_ms())
}

/// The exemplar of a sample, where its line does not go on for too long.
fn exemplar(page: &[u8], sample: &Sample<'_>) -> Option<String> {
    let behind = page.get(sample.value_offset() + sample.value_len()..)?;
    let end = behind.iter().position(|byte| *byte == b'\n')?;
    sample.exemplar().filter(|_| end < 512).map(words)
}

/// What a page says: its samples in order, and how many lines were skipped.
fn parse(page: &[u8], options: Options) -> Result<(Vec<Line>, u64), ParseError> {
    let mut samples = Vec::new();
    let mut parser = Parser::new(page, options);
    for entry in &mut parser {
        if let Entry::Sample(sample) = entry? {
            let bits = sample.value().to_bits();
            samples.push((sample.series().to_vec(), bits, exemplar(page, &sample)));
        }
    }
    Ok((samples, parser.skipped_lines()))
}

/// A layout with what it told.
pub(crate) struct Reader {
    pub(crate) layout: Layout,
    pub(crate) heard: Heard,
}

impl Reader {
    /// Reads a page and holds what comes of it against a parse.
    pub(crate) fn read(&mut self, page: &[u8], options: Options) -> Result<Reread, ParseError> {
        let read = self.layout.read(page, options, &mut self.heard);
        let want = parse(page, options);
        let mut present = 0;
        match (&read, &want) {
            (Ok(read), Ok((samples, skipped))) => {
                assert_eq!(
                    (read.samples, read.skipped_lines),
                    (samples.len(), *skipped)
                );
                let mut exemplars: HashMap<u32, String> = HashMap::new();
                for (id, exemplar) in self.layout.exemplars() {
                    let before = exemplars.insert(id, words(exemplar));
                    assert_eq!(before, None, "each line is told once");
                }
                let mut nth: HashMap<&[u8], usize> = HashMap::new();
                for (series, bits, exemplar) in samples {
                    let nth = nth.entry(series).or_default();
                    let id = self.heard.ids[series][*nth];
                    *nth += 1;
                    let value = self.layout.value(id).map(f64::to_bits);
                    assert_eq!(value, Some(*bits), "{}", series.escape_ascii());
                    assert_eq!(
                        &exemplars.remove(&id),
                        exemplar,
                        "{}",
                        series.escape_ascii()
                    );
                }
                assert_eq!(exemplars, HashMap::new(), "no line of this page has these");
                present = samples.len();
            }
            (got, want) => {
                let page = page.escape_ascii();
                assert_eq!(got.as_ref().err(), want.as_ref().err(), "{page}");
                assert_eq!(self.layout.exemplars().count(), 0);
            }
        }
        let there = (0..self.heard.count).filter(|id| self.layout.value(*id).is_some());
        assert_eq!(there.count(), present, "nothing else is there");
        assert_eq!(self.layout.ids(), self.heard.count as usize);
        read
    }
}
