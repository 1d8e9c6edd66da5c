//! How fast is a page read, when nothing is known of it?
//!
//! - *labels and values*: every entry, every label, every value exact, everything validated.
//! - *tokens*: every entry and every label; the values are not asked for (they are still validated).
//! - The same by each implementation the machine has, down to the plain one, byte by byte.
//! - Bounds: `memchr` reporting each newline of the same page (`NL`, the measure of all the others),
//!   and counting them.
//! - Published parsers. Two of them lose every series whose name has a colon, so all of an LLM
//!   engine's; how many samples each gives is printed, and no ratio where it is not all of them.
//!
//! The cases differ in what can dominate: *typical* and *large* are an engine's page and that of eight
//! engines; *small* has no labels, so the cost of a line and of a parser; *devices* has ten labels a
//! line; *openmetrics* has exemplars, which are left to the plain grammar; *federation* fits no cache.
//! Each stands by itself.
//!
//! `cargo bench -p tokenpath-benches --bench parse -- ratios` prints the ratios alone, and those of the
//! bench `reread` behind them: all that concerns reading, in one run.

#[path = "reread.rs"]
#[expect(
    dead_code,
    reason = "a bench of its own; only its ratios are wanted here"
)]
mod reread;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use tokenpath_benches::race::Race;
use tokenpath_benches::{made, pages};
use tokenpath_core::exposition::{ChunkedParser, Entry, Format, Options, Parser, Variant};

/// What is measured, by name.
type Work<'a> = (String, Box<dyn FnMut() + 'a>);

const NEWLINES: &str = "memchr newlines (NL)";
const COUNT: &str = "memchr newline count";
const FULL: &str = "labels and values";
const TOKENS: &str = "tokens";
const CHUNKS: &str = "labels and values, in 4 KiB pieces";

struct Case {
    name: &'static str,
    page: String,
    format: Format,
}

impl Case {
    fn all() -> Vec<Self> {
        let case = |name, page: String| Self {
            name,
            format: Format::sniff(page.as_bytes(), None),
            page,
        };
        let small = std::env::var_os("TOKENPATH_CORPUS").map_or_else(made::small, |folder| {
            let path =
                std::path::Path::new(&folder).join("fixtures/llamacpp/llamacpp-b11434-t1-load.txt");
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        });
        vec![
            case("small", small),
            case("typical", pages::typical()),
            case("large", pages::large()),
            case("devices", made::devices()),
            case("openmetrics", made::openmetrics()),
            case("federation", made::federation()),
        ]
    }

    fn samples(&self) -> usize {
        self.page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    }

    fn works(&self) -> Vec<Work<'_>> {
        let page = self.page.as_bytes();
        let options = Options::new(self.format);
        let mut works: Vec<Work<'_>> = vec![
            (
                NEWLINES.to_owned(),
                Box::new(move || {
                    for newline in memchr::memchr_iter(b'\n', black_box(page)) {
                        black_box(newline);
                    }
                }),
            ),
            (
                COUNT.to_owned(),
                Box::new(move || {
                    black_box(memchr::memchr_iter(b'\n', black_box(page)).count());
                }),
            ),
        ];
        let best = Variant::available().pop().unwrap_or(Variant::Plain);
        for variant in Variant::available() {
            let name = |what: &str| {
                if variant == best {
                    what.to_owned()
                } else {
                    format!("{what}, {variant:?}")
                }
            };
            let parser = move || Parser::new(black_box(page), options).with_variant(variant);
            works.push((name(FULL), Box::new(move || read::<true>(parser()))));
            works.push((name(TOKENS), Box::new(move || read::<false>(parser()))));
        }
        works.push((
            CHUNKS.to_owned(),
            Box::new(move || in_pieces(black_box(page), options)),
        ));
        works
    }

    /// Published parsers, and how many samples each makes of the page.
    fn published(&self) -> Vec<(usize, Work<'_>)> {
        let page = self.page.as_str();
        let lines = move || black_box(page).lines().map(|line| Ok(line.to_owned()));
        vec![
            entrant("prom_text_format_parser", move || {
                let scrape = prom_text_format_parser::Scrape::parse(black_box(page));
                scrape.map_or(0, |scrape| {
                    scrape
                        .metrics
                        .iter()
                        .map(|metric| metric.samples.len())
                        .sum()
                })
            }),
            entrant("prometheus-exposition-format-rs", move || {
                let metrics = prometheus_exposition_format_rs::parse_complete(black_box(page));
                metrics.map_or(0, |metrics| {
                    metrics.iter().map(|metric| metric.samples.len()).sum()
                })
            }),
            entrant("prometheus-parse", move || {
                prometheus_parse::Scrape::parse(lines()).map_or(0, |scrape| scrape.samples.len())
            }),
            entrant("prometheus-scrape", move || {
                prometheus_scrape::Scrape::parse(lines()).map_or(0, |scrape| scrape.samples.len())
            }),
        ]
    }
}

/// A published parser, tried once to see how many samples it gives.
fn entrant<'a>(name: &str, mut parse: impl FnMut() -> usize + 'a) -> (usize, Work<'a>) {
    let samples = parse();
    let work = move || {
        black_box(parse());
    };
    (samples, (name.to_owned(), Box::new(work)))
}

/// Reads every entry and label, and the values too if asked.
fn read<const VALUES: bool>(parser: Parser<'_>) {
    let mut sum = 0.0;
    let mut seen = 0usize;
    for entry in parser {
        match entry.expect("a valid page") {
            Entry::Sample(sample) => {
                if VALUES {
                    sum += sample.value();
                }
                seen = seen.wrapping_add(sample.name().raw().len());
                for (name, value) in sample.labels() {
                    seen = seen.wrapping_add(
                        name.raw().len() ^ value.raw().as_ptr().addr() ^ value.raw().len(),
                    );
                }
            }
            Entry::Help { name, help } => {
                seen = seen.wrapping_add(name.raw().len() ^ help.raw().len())
            }
            Entry::Type { name, kind } => {
                seen = seen.wrapping_add(name.raw().len() ^ kind as usize)
            }
            _ => {}
        }
    }
    black_box((sum, seen));
}

fn in_pieces(page: &[u8], options: Options) {
    let mut sum = 0.0;
    let mut seen = 0usize;
    let mut sink = |entry: Entry<'_>| {
        if let Entry::Sample(sample) = entry {
            sum += sample.value();
            for (name, value) in sample.labels() {
                seen = seen.wrapping_add(
                    name.raw().len() ^ value.raw().as_ptr().addr() ^ value.raw().len(),
                );
            }
        }
    };
    let mut parser = ChunkedParser::new(options);
    for piece in page.chunks(4096) {
        parser.feed(piece, &mut sink).expect("a valid page");
    }
    parser.finish(&mut sink).expect("a valid page");
    black_box((sum, seen));
}

fn measure(criterion: &mut Criterion) {
    for case in Case::all() {
        let mut group = criterion.benchmark_group(format!("parse/{}", case.name));
        group.throughput(Throughput::ElementsAndBytes {
            elements: case.samples() as u64,
            bytes: case.page.len() as u64,
        });
        let published = case.published().into_iter().map(|(_, work)| work);
        for (name, mut work) in case.works().into_iter().chain(published) {
            group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(&mut work));
        }
        group.finish();
    }
}

/// Prints the ratios of one run, in which all alternate.
fn compare() {
    for case in Case::all() {
        let (bytes, samples) = (case.page.len(), case.samples());
        println!(
            "\n{}: {bytes} bytes, {} lines, {samples} samples",
            case.name,
            case.page.lines().count()
        );
        let published = case.published();
        let counts: Vec<_> = published
            .iter()
            .map(|(count, (name, _))| (*count, name.clone()))
            .collect();
        let works = case
            .works()
            .into_iter()
            .chain(published.into_iter().map(|(_, work)| work));
        let race = works.fold(Race::new(), |race, (name, work)| race.runner(name, work));
        let times = race.run(if bytes > 1 << 20 { 9 } else { 31 });
        print!("{times}");
        println!(
            "  {:.3} of NL: {FULL} (must 0.21, moonshot 0.35)",
            times.ratio(FULL, NEWLINES)
        );
        println!(
            "  {:.3} of NL: {TOKENS} (must 0.28, moonshot 0.50)",
            times.ratio(TOKENS, NEWLINES)
        );
        println!(
            "  {:.3} of the newline count: {FULL}",
            times.ratio(FULL, COUNT)
        );
        println!(
            "  {:.1} x {FULL}, Plain",
            times.ratio(FULL, &format!("{FULL}, Plain"))
        );
        for (count, name) in counts {
            if count == samples {
                println!(
                    "  {:.1} x {name} (must 20, moonshot 40)",
                    times.ratio(FULL, &name)
                );
            } else {
                println!("  no ratio to {name}: {count} of {samples} samples");
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
    let asked = |argument: &str| std::env::args().any(|given| given == argument);
    if asked("--bench") && !asked("--test") {
        compare();
        reread::compare();
    }
}
