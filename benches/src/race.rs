//! Ratios taken in one run.
//!
//! Criterion measures one thing after another, minutes apart; on a machine that is shared the load of
//! one minute is then compared with that of another. A race runs its runners in turn, less
//! than a millisecond each, many rounds; a ratio is the median of the ratios of the rounds.

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

/// How long a turn lasts, roughly: shorter than what a busy machine gives a program at a time, so that
/// most turns are not interrupted.
const TURN: Duration = Duration::from_micros(400);

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
            // Warm first (what comes in turn, comes twice), then see how many laps fill a turn.
            let laps = (0..8).map(|_| runner.turn());
            let lap = laps.skip(4).fold(f64::INFINITY, f64::min);
            let lap = Duration::from_secs_f64(lap.max(1e-9));
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
        let turns = |runner: Runner<'a>| (runner.name, runner.turns);
        Times(self.runners.into_iter().map(turns).collect())
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

/// What a race came to: for each runner the times of its turns, round by round.
pub struct Times(Vec<(String, Vec<f64>)>);

impl Times {
    fn turns(&self, name: &str) -> &[f64] {
        let mut runners = self.0.iter();
        let runner = runners.find(|(runner, _)| runner == name);
        runner
            .map(|(_, turns)| &**turns)
            .expect("a runner of the race")
    }

    /// The median time of a runner in seconds.
    ///
    /// # Panics
    ///
    /// Where there is no such runner.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        quartile(self.turns(name).to_vec(), 2)
    }

    /// How many times as fast as `other` is `name`: the median of the rounds, so that a while in which
    /// the machine was busy with something else counts for both.
    ///
    /// # Panics
    ///
    /// Where there is no such runner.
    #[must_use]
    pub fn ratio(&self, name: &str, other: &str) -> f64 {
        let rounds = self.turns(other).iter().zip(self.turns(name));
        quartile(rounds.map(|(other, name)| other / name).collect(), 2)
    }
}

/// The value at a quarter of the sorted numbers.
fn quartile(mut numbers: Vec<f64>, quarter: usize) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let at = numbers.len().saturating_sub(1) * quarter / 4;
    numbers.get(at).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, turns) in &self.0 {
            let [low, median, high] = [1, 2, 3].map(|quarter| quartile(turns.clone(), quarter));
            let noise = (high - low) / 2.0 / median * 100.0;
            writeln!(f, "  {name:<34} {:>12.3} µs  ±{noise:.0} %", median * 1e6)?;
        }
        Ok(())
    }
}
