//! Ratios taken in one run.
//!
//! Criterion measures one thing after another, minutes apart; on a machine that is shared the load of
//! one minute is then compared with that of another. A race runs its runners in turn, a few
//! milliseconds each, many rounds, and compares their medians.

use std::fmt;
use std::time::{Duration, Instant};

/// Runners that do the same work, or a bound beside it.
#[derive(Default)]
pub struct Race<'a> {
    runners: Vec<Runner<'a>>,
}

struct Runner<'a> {
    name: String,
    work: Box<dyn FnMut() + 'a>,
    /// How often the work is done in one turn.
    laps: u32,
    /// The time of one lap, of each turn.
    turns: Vec<f64>,
}

/// How long a turn lasts, roughly.
const TURN: Duration = Duration::from_millis(4);

impl<'a> Race<'a> {
    /// A race without runners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a runner.
    #[must_use]
    pub fn runner(mut self, name: impl Into<String>, work: impl FnMut() + 'a) -> Self {
        self.runners.push(Runner {
            name: name.into(),
            work: Box::new(work),
            laps: 1,
            turns: Vec::new(),
        });
        self
    }

    /// Runs `rounds` rounds and gives the medians.
    #[must_use]
    pub fn run(mut self, rounds: usize) -> Times {
        for runner in &mut self.runners {
            // Warm first, then see how many laps fill a turn.
            runner.turn();
            let lap = Duration::from_secs_f64(runner.turn().max(1e-9));
            let laps = TURN.as_nanos() / lap.as_nanos().max(1);
            runner.laps = u32::try_from(laps.clamp(1, 1_000_000)).unwrap_or(1);
            runner.turns.clear();
        }
        for _ in 0..rounds {
            for runner in &mut self.runners {
                let lap = runner.turn();
                runner.turns.push(lap);
            }
        }
        Times(
            self.runners
                .into_iter()
                .map(|mut runner| {
                    runner.turns.sort_by(f64::total_cmp);
                    (runner.name, runner.turns)
                })
                .collect(),
        )
    }
}

impl Runner<'_> {
    fn turn(&mut self) -> f64 {
        let start = Instant::now();
        for _ in 0..self.laps {
            (self.work)();
        }
        start.elapsed().as_secs_f64() / f64::from(self.laps)
    }
}

/// What a race came to: for each runner its turns, sorted.
pub struct Times(Vec<(String, Vec<f64>)>);

impl Times {
    /// The median time of a runner in seconds.
    ///
    /// # Panics
    ///
    /// Where there is no such runner.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        let (_, turns) = self
            .0
            .iter()
            .find(|(runner, _)| runner == name)
            .expect("a runner of the race");
        quantile(turns, 2)
    }

    /// How many times as fast as `other` is `name`.
    #[must_use]
    pub fn ratio(&self, name: &str, other: &str) -> f64 {
        self.median(other) / self.median(name)
    }
}

/// The value at a quarter of the sorted turns.
fn quantile(turns: &[f64], quarter: usize) -> f64 {
    let at = (turns.len().saturating_sub(1)) * quarter / 4;
    turns.get(at).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, turns) in &self.0 {
            let median = quantile(turns, 2);
            let noise = (quantile(turns, 3) - quantile(turns, 1)) / 2.0 / median * 100.0;
            writeln!(f, "  {name:<34} {:>12.3} µs  ±{noise:.0} %", median * 1e6)?;
        }
        Ok(())
    }
}
