//! How fast is a page read that is known, or of which little is wanted?
//!
//! - *reread*: a [`Layout`] reads two successive pages of one server in turn, every value exact. The
//!   measure is the time that `memchr` takes to report the newlines of the same pages.
//! - *changed*: the same while one line in a hundred comes or goes. The measure is the full parse.
//! - *filter*: five families out of the page by a [`Filter`].
//!
//! `cargo bench -p tokenpath-benches --bench reread -- ratios` prints the ratios alone.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use tokenpath_benches::race::Race;
use tokenpath_benches::{made, pages};
use tokenpath_core::exposition::{
    Entry, Filter, Format, Fresh, Layout, Options, Parser, Sample, Variant,
};

/// Hears nothing: what lines mean is the business of whoever uses them.
struct Deaf;

impl Fresh for Deaf {
    fn restart(&mut self) {}
    fn metadata(&mut self, _: &Entry<'_>) {}
    fn sample(&mut self, _: u32, _: &Sample<'_>) {}
}

/// What is measured, by name.
type Work<'a> = (String, Box<dyn FnMut() + 'a>);

/// The pages in turn.
fn turns<'a>(pages: &'a [String; 2]) -> impl FnMut() -> &'a [u8] {
    let mut turn = 0;
    move || {
        turn = 1 - turn;
        black_box(pages[turn].as_bytes())
    }
}

struct Case {
    name: &'static str,
    /// Two moments of the server.
    pages: [String; 2],
    /// Two moments between which a hundredth of the lines come and as many go.
    changing: [String; 2],
}

impl Case {
    fn all() -> Vec<Self> {
        let of = |name, page: String| {
            let later = pages::later(&page, 1);
            // On a page of few lines, one line.
            let parts = (page.lines().count() / 3).clamp(2, 200);
            Self {
                name,
                changing: [
                    pages::without(&page, parts, 1),
                    pages::without(&later, parts, 1 + parts / 2),
                ],
                pages: [page, later],
            }
        };
        vec![
            of("typical", pages::typical()),
            of("large", pages::large()),
            of("small", made::small()),
            of("label-heavy", made::devices()),
            of("OpenMetrics with exemplars", made::openmetrics()),
            of("federation, 10 MB", made::federation()),
        ]
    }

    /// Five families: those of an endpoint picker, or where the page has none of them, five from its
    /// middle.
    fn five(&self) -> Vec<String> {
        let types = self.pages[0]
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        let families = types
            .filter_map(|line| line.split_once(' '))
            .map(|(name, _)| name.to_owned());
        let families: Vec<_> = families.collect();
        if FIVE
            .iter()
            .any(|family| families.iter().any(|known| known == family))
        {
            return FIVE.map(str::to_owned).to_vec();
        }
        families
            .iter()
            .skip(families.len() / 2)
            .take(5)
            .cloned()
            .collect()
    }

    fn works(&self) -> Vec<Work<'_>> {
        let mut works: Vec<Work<'_>> = Vec::new();
        let mut add = |name: &str, work| works.push((name.to_owned(), work));
        let mut page = turns(&self.pages);
        add(
            NEWLINES,
            Box::new(move || {
                for newline in memchr::memchr_iter(b'\n', page()) {
                    black_box(newline);
                }
            }),
        );
        let options = Options::new(Format::sniff(self.pages[0].as_bytes(), None));
        let mut page = turns(&self.pages);
        add(
            PARSE,
            Box::new(move || {
                for entry in Parser::new(page(), options) {
                    let entry = entry.expect("a valid page");
                    // A re-read has every value in the end, so this has too.
                    if let Entry::Sample(sample) = entry {
                        black_box(sample.value());
                    }
                    black_box(entry);
                }
            }),
        );
        for variant in Variant::available() {
            let name = if variant == Variant::available().pop().unwrap_or(Variant::Plain) {
                REREAD.to_owned()
            } else if variant == Variant::Plain {
                continue;
            } else {
                format!("{REREAD}, {variant:?}")
            };
            let mut page = turns(&self.pages);
            let mut layout = Layout::new().with_variant(variant);
            add(
                &name,
                Box::new(move || {
                    let read = layout.read(page(), options, &mut Deaf);
                    black_box(read.expect("a valid page"));
                }),
            );
        }
        let mut page = turns(&self.changing);
        let mut layout = Layout::new();
        add(
            CHANGED,
            Box::new(move || {
                let read = layout.read(page(), options, &mut Deaf);
                assert!(!read.expect("a valid page").unchanged);
            }),
        );
        let mut page = turns(&self.pages);
        let filter = Filter::new(self.five());
        add(
            FILTER,
            Box::new(move || {
                for entry in filter.entries(page(), options) {
                    black_box(entry.expect("a valid page"));
                }
            }),
        );
        works
    }
}

const FILTER: &str = "filter, five families";

/// What an endpoint picker wants to know.
const FIVE: [&str; 5] = [
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:lora_requests_info",
    "vllm:cache_config_info",
];

const NEWLINES: &str = "memchr newlines";
const PARSE: &str = "full parse";
const REREAD: &str = "reread";
const CHANGED: &str = "reread, 1 % of lines come and go";

fn measure(criterion: &mut Criterion) {
    for case in Case::all() {
        let page = &case.pages[0];
        let samples = page.lines().filter(|line| !line.starts_with('#')).count();
        let mut group = criterion.benchmark_group(format!("reread/{}", case.name));
        group.throughput(Throughput::ElementsAndBytes {
            elements: samples as u64,
            bytes: page.len() as u64,
        });
        for (name, mut work) in case.works() {
            group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(&mut work));
        }
        group.finish();
    }
}

/// Prints the ratios of one run, in which all alternate.
pub(crate) fn compare() {
    for case in Case::all() {
        let works = case.works();
        let race = works
            .into_iter()
            .fold(Race::new(), |race, (name, work)| race.runner(name, work));
        let times = race.run(301);
        println!(
            "\n{}: {} bytes, {} lines",
            case.name,
            case.pages[0].len(),
            case.pages[0].lines().count()
        );
        print!("{times}");
        println!(
            "  {:.2} of NL: {REREAD} (must 0.70, moonshot 1.0)",
            times.ratio(REREAD, NEWLINES)
        );
        println!("  {:.2} of NL: {PARSE}", times.ratio(PARSE, NEWLINES));
        println!(
            "  {:.2} x full parse: {CHANGED} (must 2, moonshot 4)",
            times.ratio(CHANGED, PARSE)
        );
        println!(
            "  {:.2} of NL: {FILTER} (must 0.60, moonshot 0.90)",
            times.ratio(FILTER, NEWLINES)
        );
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
    let asked = |argument: &str| std::env::args().any(|given| given == argument);
    if asked("--bench") && !asked("--test") {
        compare();
    }
}
