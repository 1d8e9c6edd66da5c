use super::*;

#[derive(Default)]
struct Heard {
    samples: Vec<(u32, String)>,
    metadata: usize,
    restarts: usize,
}

impl Fresh for Heard {
    fn restart(&mut self) {
        self.restarts += 1;
    }
    fn metadata(&mut self, _entry: &Entry<'_>) {
        self.metadata += 1;
    }
    fn sample(&mut self, id: u32, sample: &Sample<'_>) {
        self.samples
            .push((id, String::from_utf8(sample.series().to_vec()).unwrap()));
    }
}

fn read(layout: &mut Layout, page: &str, heard: &mut Heard) -> Result<Reread, ParseError> {
    layout.read(page.as_bytes(), Options::default(), heard)
}

#[test]
fn the_same_lines_with_other_values_are_told_once() {
    let (mut layout, mut heard) = (Layout::new(), Heard::default());
    let first = "# TYPE a gauge\na{x=\"1\"} 1.0\na{x=\"2\"} 2.5\n# last\n";
    let second = "# TYPE a gauge\na{x=\"1\"} 100\na{x=\"2\"} NaN\n# last\n";
    assert!(!read(&mut layout, first, &mut heard).unwrap().unchanged);
    let reread = read(&mut layout, second, &mut heard).unwrap();
    assert_eq!(
        reread,
        Reread {
            samples: 2,
            unchanged: true,
            skipped_lines: 0
        }
    );
    assert_eq!(heard.samples.len(), 2);
    assert_eq!(layout.value(0), Some(100.0));
    assert!(layout.value(1).unwrap().is_nan());
}

#[test]
fn a_line_that_goes_is_absent_and_has_its_id_when_it_comes_back() {
    let (mut layout, mut heard) = (Layout::new(), Heard::default());
    read(&mut layout, "a 1\nb 2\n", &mut heard).unwrap();
    assert!(!read(&mut layout, "b 3\n", &mut heard).unwrap().unchanged);
    assert_eq!((layout.value(0), layout.value(1)), (None, Some(3.0)));
    read(&mut layout, "c 5\na 1\nb 2\n", &mut heard).unwrap();
    assert_eq!(
        (layout.value(0), layout.value(1), layout.value(2)),
        (Some(1.0), Some(2.0), Some(5.0))
    );
    assert_eq!(
        heard.samples,
        [(0, "a".into()), (1, "b".into()), (2, "c".into())]
    );
}

#[test]
fn a_series_that_stands_twice_has_two_ids() {
    let (mut layout, mut heard) = (Layout::new(), Heard::default());
    read(&mut layout, "a 1\na 2\n", &mut heard).unwrap();
    assert_eq!((layout.value(0), layout.value(1)), (Some(1.0), Some(2.0)));
    assert_eq!(heard.samples.len(), 2);
}

#[test]
fn a_page_that_fails_leaves_no_values() {
    let (mut layout, mut heard) = (Layout::new(), Heard::default());
    read(&mut layout, "a 1\nb 2\n", &mut heard).unwrap();
    assert!(read(&mut layout, "a 5\nb x\n", &mut heard).is_err());
    assert_eq!((layout.value(0), layout.value(1)), (None, None));
    read(&mut layout, "a 6\nb 7\n", &mut heard).unwrap();
    assert_eq!((layout.value(0), layout.value(1)), (Some(6.0), Some(7.0)));
    assert_eq!(heard.samples.len(), 2);
}

#[test]
fn values_are_read_by_the_same_grammar_as_in_a_full_parse() {
    let (mut layout, mut heard) = (Layout::new(), Heard::default());
    read(&mut layout, "a 1\n", &mut heard).unwrap();
    for bad in [
        "a 1e400\n",
        "a +NaN\n",
        "a 0x1\n",
        "a 1_0\n",
        "a \n",
        "a 1 x\n",
    ] {
        assert!(read(&mut layout, bad, &mut heard).is_err(), "{bad}");
    }
    for (good, value) in [
        ("a 1 1700000000000\n", 1.0),
        ("a  2\n", 2.0),
        ("a 3", 3.0),
        ("a 4\n", 4.0),
    ] {
        read(&mut layout, good, &mut heard).unwrap();
        assert_eq!(layout.value(0), Some(value), "{good}");
    }
}

#[test]
fn lines_that_stay_away_are_forgotten() {
    let (mut layout, mut heard) = (Layout::new(), Heard::default());
    for page in 0..2000 {
        read(
            &mut layout,
            &format!("a{{user=\"{page}\"}} 1\n"),
            &mut heard,
        )
        .unwrap();
    }
    assert!(heard.restarts > 0);
    assert!(layout.ids() <= ABSENT_LINES_KEPT + 2, "{}", layout.ids());
}
