use proptest::prelude::*;
use tokenpath_core::{DropReason, Snapshot};

use super::*;
use crate::device::ProcessKind;
use crate::fake::{FakeDriver, FakeGpu};

fn tracker() -> Tracker {
    Tracker::new(Options {
        standing_period: Duration::from_secs(3600),
        proc_root: "/no/such/folder".into(),
        ..Options::default()
    })
}

fn numbers(gpu: &Gpu) -> &Numbers {
    &gpu.values.as_ref().unwrap().numbers
}

#[test]
fn what_hardly_changes_is_kept_between_its_readings_but_not_over_an_outage() {
    let mut driver = FakeDriver::new([FakeGpu::new(0)]);
    let mut tracker = tracker();
    tracker.begin_session(&mut driver);
    let limit = |sample: &Sample| numbers(&sample.gpus[0]).get(Quantity::PowerLimit);
    let set = |driver: &FakeDriver, milliwatts: f64| {
        driver.change(|machine| {
            let standing = machine.gpus[0].reading.standing.as_mut().unwrap();
            standing.numbers.put(Quantity::PowerLimit, milliwatts);
        });
    };
    assert_eq!(
        limit(&tracker.sample(&mut driver).unwrap()),
        Some(700_000.0)
    );
    set(&driver, 300_000.0);
    assert_eq!(
        limit(&tracker.sample(&mut driver).unwrap()),
        Some(700_000.0)
    );
    driver.change(|machine| machine.gpus[0].error = Some(CallError::GpuLost));
    assert!(
        tracker.sample(&mut driver).unwrap().gpus[0]
            .values
            .is_none()
    );
    driver.change(|machine| machine.gpus[0].error = None);
    assert_eq!(
        limit(&tracker.sample(&mut driver).unwrap()),
        Some(300_000.0)
    );
}

#[test]
fn what_a_gpu_never_says_of_itself_is_not_asked_for_ever() {
    let mut driver = FakeDriver::new([FakeGpu::new(0)]);
    let mut tracker = tracker();
    tracker.options.standing_period = Duration::ZERO;
    tracker.begin_session(&mut driver);
    for _ in 0..100 {
        tracker.sample(&mut driver).unwrap();
    }
    // Its BIOS has no version, and the driver none at all.
    let tracked = tracker.gpus.values().next().unwrap();
    assert!(!tracked.identity.is_complete());
    assert_eq!((tracked.identity_retries, tracker.version_retries), (0, 0));
    let labels = Arc::clone(&tracked.labels);
    tracker.begin_session(&mut driver);
    tracker.sample(&mut driver).unwrap();
    let tracked = tracker.gpus.values().next().unwrap();
    assert_eq!(
        tracked.identity_retries, RETRIES_MAX,
        "a session begins anew"
    );
    assert!(Arc::ptr_eq(&tracked.labels, &labels), "they are the same");
}

#[test]
fn a_name_that_is_there_twice_is_read_once() {
    let mut driver = FakeDriver::new([FakeGpu::new(0), FakeGpu::new(0), FakeGpu::new(1)]);
    let mut tracker = tracker();
    tracker.begin_session(&mut driver);
    let sample = tracker.sample(&mut driver).unwrap();
    let names: Vec<_> = sample.gpus.iter().map(|gpu| &gpu.labels.uuid).collect();
    assert_eq!(names.len(), 2);
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_driver_that_makes_up_names_does_not_fill_the_memory() {
    let mut driver = FakeDriver::new([]);
    let mut tracker = tracker();
    tracker.begin_session(&mut driver);
    for number in 0..1000 {
        driver.change(|machine| machine.gpus = vec![FakeGpu::new(number)]);
        let sample = tracker.sample(&mut driver).unwrap();
        assert!(sample.gpus.len() <= GPUS_MAX as usize + 1);
    }
    assert!(tracker.gpus.len() <= GPUS_MAX as usize + 1);
}

#[test]
fn xid_codes_are_bounded_and_none_is_lost() {
    let mut driver = FakeDriver::new([FakeGpu::new(0)]);
    let mut tracker = tracker();
    tracker.begin_session(&mut driver);
    driver.change(|machine| machine.gpus[0].reading.xids = Some((0..100).chain(0..10).collect()));
    tracker.sample(&mut driver).unwrap();
    let sample = tracker.sample(&mut driver).unwrap();
    let xids = sample.gpus[0].xids.as_ref().unwrap();
    assert_eq!(xids.total, 110);
    assert_eq!(xids.codes.len(), XID_CODES_MAX + 1);
    assert_eq!(xids.codes[&3].count, 2);
    assert_eq!(xids.codes[&OTHER_XID].count, 36);
    assert_eq!(xids.codes[&OTHER_XID].code, "other");
}

#[test]
fn blocking_calls_take_turns_and_the_others_keep_their_last_answer() {
    let gpus = (0..8).map(|number| {
        let mut gpu = FakeGpu::new(number);
        let rate = f64::from(number);
        gpu.reading
            .numbers
            .put(Quantity::PcieThroughputTransmit, rate);
        gpu
    });
    let mut driver = FakeDriver::new(gpus);
    let mut tracker = tracker();
    tracker.begin_session(&mut driver);
    // A quarter of a second has room for six of them.
    let known = |sample: &Sample| -> Vec<bool> {
        let rate = |gpu| numbers(gpu).get(Quantity::PcieThroughputTransmit).is_some();
        sample.gpus.iter().map(rate).collect()
    };
    let first = known(&tracker.sample(&mut driver).unwrap());
    assert_eq!(first, [true, true, true, true, true, true, false, false]);
    let second = known(&tracker.sample(&mut driver).unwrap());
    assert_eq!(second, [true; 8]);
    driver.change(|machine| {
        let numbers = &mut machine.gpus[5].reading.numbers;
        numbers.put(Quantity::PcieThroughputTransmit, 77.0);
    });
    let rate = |sample: &Sample| numbers(&sample.gpus[5]).get(Quantity::PcieThroughputTransmit);
    // Turns 4 to 9, then 2 to 7.
    assert_eq!(rate(&tracker.sample(&mut driver).unwrap()), Some(77.0));
}

#[test]
fn a_throughput_that_fails_or_comes_from_elsewhere_is_not_shown_for_ever() {
    let mut gpu = FakeGpu::new(0);
    gpu.reading
        .numbers
        .put(Quantity::PcieThroughputTransmit, 7.0);
    let mut driver = FakeDriver::new([gpu]);
    let mut tracker = tracker();
    tracker.begin_session(&mut driver);
    let rates = |tracker: &mut Tracker, driver: &mut FakeDriver| {
        let sample = tracker.sample(driver).unwrap();
        let numbers = numbers(&sample.gpus[0]);
        let rate = |quantity| numbers.get(quantity);
        (
            rate(Quantity::GpmPcieTransmit),
            rate(Quantity::PcieThroughputTransmit),
        )
    };
    let change = |driver: &FakeDriver, change: &dyn Fn(&mut Numbers)| {
        driver.change(|machine| change(&mut machine.gpus[0].reading.numbers));
    };
    assert_eq!(rates(&mut tracker, &mut driver), (None, Some(7.0)));
    // GPM tells it too: one series, not two.
    change(&driver, &|numbers| {
        numbers.put(Quantity::GpmPcieTransmit, 9.0)
    });
    assert_eq!(rates(&mut tracker, &mut driver), (Some(9.0), None));
    change(&driver, &|numbers| {
        numbers.remove(&[Quantity::GpmPcieTransmit])
    });
    assert_eq!(rates(&mut tracker, &mut driver), (None, Some(7.0)));
    // The call fails, or is not asked any more.
    change(&driver, &|numbers| {
        numbers.remove(&[Quantity::PcieThroughputTransmit])
    });
    assert_eq!(rates(&mut tracker, &mut driver), (None, None));
}

#[test]
fn time_is_added_to_the_reasons_that_hold_and_a_gap_counts_little() {
    let mut tracked = Tracked::default();
    let period = Duration::from_secs(1);
    let long_ago = Instant::now().checked_sub(Duration::from_secs(60));
    tracked.integrate(Some(0x4), period);
    assert_eq!(tracked.throttle_sampled, [Duration::ZERO; throttle::COUNT]);
    tracked.read = long_ago;
    tracked.integrate(Some(0x4), period);
    assert_eq!(tracked.throttle_sampled[2], period * 2);
    tracked.integrate(Some(0), period);
    tracked.integrate(None, period);
    assert_eq!(tracked.throttle_sampled[2], period * 2);
}

#[test]
fn the_largest_processes_are_shown_each_once() {
    let process = |pid, vram_bytes, gpu_instance| Process {
        pid,
        kind: ProcessKind::Compute,
        vram_bytes,
        gpu_instance,
    };
    let found = vec![
        process(9, Some(50), None),
        process(3, Some(10), None),
        process(9, Some(40), None),
        process(9, Some(70), Some(1)),
        process(5, None, None),
    ];
    let mut directory = Directory::new("/no/such/folder".into());
    let mut driver = FakeDriver::new([]);
    let processes = processes(found, 2, &mut directory, &mut driver);
    assert_eq!((processes.count, processes.omitted), (3, 1));
    let shown: Vec<_> = processes
        .shown
        .iter()
        .map(|process| {
            (
                process.pid.as_str(),
                process.vram_bytes,
                process.mig.as_deref(),
            )
        })
        .collect();
    assert_eq!(shown, [("9", 50, None), ("9", 70, Some("1"))]);
}

/// What may happen to a machine between two samples.
#[derive(Clone, Debug)]
enum Event {
    Lose(usize),
    Find(usize),
    Remove(usize),
    Add,
    Swap(usize, usize),
    Reopen,
    Xid(usize, u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let gpu = 0_usize..6;
    let event = prop_oneof![
        gpu.clone().prop_map(Event::Lose),
        gpu.clone().prop_map(Event::Find),
        gpu.clone().prop_map(Event::Remove),
        Just(Event::Add),
        (gpu.clone(), gpu.clone()).prop_map(|(a, b)| Event::Swap(a, b)),
        Just(Event::Reopen),
        (gpu, 0_u64..100).prop_map(|(gpu, code)| Event::Xid(gpu, code)),
    ];
    proptest::collection::vec(event, 0..40)
}

/// A GPU whose power tells which one it is.
fn marked(number: u32) -> FakeGpu {
    let mut gpu = FakeGpu::new(number);
    gpu.reading
        .numbers
        .put(Quantity::Power, f64::from(number) * 1000.0);
    gpu
}

fn happen(machine: &mut crate::fake::FakeMachine, event: &Event, made: &mut u32) {
    let gpus = &mut machine.gpus;
    let len = gpus.len();
    match *event {
        Event::Lose(gpu) if gpu < len => gpus[gpu].error = Some(CallError::GpuLost),
        Event::Find(gpu) if gpu < len => gpus[gpu].error = None,
        Event::Remove(gpu) if gpu < len => drop(gpus.remove(gpu)),
        Event::Add if len < 6 => {
            gpus.push(marked(*made));
            *made += 1;
        }
        Event::Swap(a, b) if a < len && b < len => gpus.swap(a, b),
        Event::Xid(gpu, code) if gpu < len => {
            gpus[gpu].reading.xids.get_or_insert_default().push(code);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_moves_to_another_gpu_whatever_happens(events in events()) {
        let mut made = 3;
        let mut driver = FakeDriver::new((0..made).map(marked));
        let mut tracker = tracker();
        tracker.begin_session(&mut driver);
        let mut page = Snapshot::new();
        for event in &events {
            driver.change(|machine| happen(machine, event, &mut made));
            if matches!(event, Event::Reopen) {
                tracker.begin_session(&mut driver);
            }
            let sample = tracker.sample(&mut driver).unwrap();
            page.clear();
            crate::page::write(&sample, Duration::ZERO, &mut page);
            prop_assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);

            let readable = driver.change(|machine| {
                machine.gpus.iter().filter(|gpu| gpu.error.is_none()).count()
            });
            let family = page.shape().family("gpu_power_watts");
            let power: Vec<_> = family
                .iter()
                .flat_map(|family| family.series())
                .filter_map(|series| {
                    let number = series.label("uuid")?.rsplit('-').next()?.parse::<f64>().ok()?;
                    Some((number, page.get(series.slot())?))
                })
                .collect();
            prop_assert_eq!(power.len(), readable);
            for (number, watts) in power {
                prop_assert!(number.eq(&watts), "{} under {}", watts, number);
            }
            let up = sample.gpus.iter().filter(|gpu| gpu.values.is_some()).count();
            prop_assert_eq!(up, readable);
        }
    }
}
