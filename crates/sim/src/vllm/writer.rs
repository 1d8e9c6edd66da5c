//! The twin's values in the places that a recorded page has for them.

use std::fmt::Write as _;

use super::binding::{self, Binding, Http, Needs, Row};
use super::release::{Generation, Recorded, Release};
use super::template::{Family, Kind, Labels, Line, Part, Template, label};
use crate::number::Nature;
use crate::observed::Observed;
use crate::truth::{EngineTruth, FinishReason, HttpTruth, LoraUse, Truth, float};

/// Seconds from the start of the process to the creation of its metrics.
const CREATED_AFTER_SECONDS: f64 = 20.25;

/// One page about to be written.
pub(crate) struct Writer<'a> {
    pub(crate) release: Release,
    pub(crate) truth: &'a Truth,
    /// The processes that the page sums over.
    pub(crate) http: &'a [HttpTruth],
    pub(crate) multi_process: bool,
}

/// One series about to be written: the recorded one it follows, and what differs.
struct Series<'a> {
    recorded: &'a Labels,
    changed: Vec<(&'static str, String)>,
    value: Value<'a>,
    created: f64,
}

enum Value<'a> {
    One(f64, Nature),
    /// Observations of several places, to be added up.
    Histogram(Vec<&'a Observed>),
    Summary {
        count: f64,
        sum: f64,
    },
}

/// What tells the series of one engine apart: the recorded series followed, a label with a value of
/// its own, and the value.
struct Variant<'a> {
    recorded: &'a Labels,
    changed: Option<(&'static str, String)>,
    value: Box<dyn Fn(&'a EngineTruth) -> Value<'a> + 'a>,
}

impl<'a> Writer<'a> {
    /// Appends the families of `template`.
    pub(crate) fn write(&self, template: &Template, out: &mut String) {
        for family in &template.families {
            let row = binding::find(family.base()).expect("the tests find a row for every family");
            if !self.has(row) {
                continue;
            }
            let series = self.series(family, row);
            let rust = self.release.recorded() == Recorded::RustFrontend;
            if series.is_empty() && (self.multi_process || family.is_created() || rust) {
                // These writers list a family with its first series; the others declare it before.
                continue;
            }
            let _ = writeln!(out, "# HELP {} {}", family.name, family.help);
            let _ = writeln!(out, "# TYPE {} {}", family.name, family.kind.as_str());
            for series in &series {
                for line in &family.lines {
                    self.sample(family, line, series, out);
                }
            }
        }
        if template.eof {
            out.push_str("# EOF\n");
        }
    }

    /// Whether the configuration has what the family is about.
    fn has(&self, row: &Row) -> bool {
        match row.needs {
            Needs::Nothing => true,
            // The V0 engine shows the gauge with or without LoRA.
            Needs::Lora => {
                self.truth.config.lora.is_some() || self.release.generation() == Generation::V0
            }
            Needs::Speculation => self.truth.config.speculation.is_some(),
        }
    }

    fn sample(&self, family: &Family, line: &Line, series: &Series<'_>, out: &mut String) {
        out.push_str(&line.name);
        for (index, &name) in line.labels.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            let value = match (name, line.le) {
                ("le", Some((edge, _))) => edge,
                _ => series
                    .changed
                    .iter()
                    .find(|(changed, _)| *changed == name)
                    .map(|(_, value)| value.as_str())
                    .or_else(|| label(series.recorded, name))
                    .unwrap_or_default(),
            };
            let _ = write!(out, "{name}=\"{value}\"");
        }
        if !line.labels.is_empty() {
            out.push('}');
        }
        out.push(' ');
        let (value, nature) = value_of(family, line, series);
        self.release.style().write(out, value, nature);
        out.push('\n');
    }

    fn series<'f: 'a>(&'a self, family: &'f Family, row: &Row) -> Vec<Series<'a>>
    where
        'a: 'f,
    {
        match row.binding {
            Binding::Engine(value) => self.each(family, move |e| one(value(e))),
            Binding::Measured(value) => {
                self.each(family, move |e| Value::One(value(e), Nature::Float))
            }
            Binding::TokensOrBlocks { tokens, blocks } => {
                let value = if self.release.prefix_cache_in_blocks() {
                    blocks
                } else {
                    tokens
                };
                self.each(family, move |e| one(float(value(e))))
            }
            Binding::Histogram(quantity) => self.each(family, move |e| {
                Value::Histogram(vec![e.observed(quantity)])
            }),
            Binding::Label { label: name, value } => {
                let variants = family
                    .series
                    .iter()
                    .map(|recorded| {
                        let of = label(recorded, name).unwrap_or_default();
                        Variant {
                            recorded,
                            changed: None,
                            value: Box::new(move |e: &EngineTruth| one(value(e, of))),
                        }
                    })
                    .collect();
                self.engines(family, variants)
            }
            Binding::FinishReasons => self.engines(family, self.finish_reasons(family)),
            Binding::Positions => self.engines(family, self.positions(family)),
            Binding::CacheConfig => self.cache_config(family),
            Binding::Lora => self.lora(family),
            Binding::Rejections => self.rejections(family),
            Binding::Http(http) => self.http(family, http),
            Binding::Process(value) => self.fixed(family, Some(value(self.truth))),
            Binding::Recorded => self.fixed(family, None),
        }
    }

    /// One series per engine.
    fn each<'f: 'a>(
        &'a self,
        family: &'f Family,
        value: impl Fn(&'a EngineTruth) -> Value<'a> + 'a,
    ) -> Vec<Series<'a>> {
        let variants = family.series.first().map(|recorded| Variant {
            recorded,
            changed: None,
            value: Box::new(value),
        });
        self.engines(family, variants.into_iter().collect())
    }

    /// The series of all engines, in the order of the layout.
    fn engines(&'a self, family: &'a Family, variants: Vec<Variant<'a>>) -> Vec<Series<'a>> {
        let mut series = Vec::new();
        let engines = &self.truth.engines;
        if family.engines_inside {
            for variant in &variants {
                for (index, engine) in engines.iter().enumerate() {
                    self.engine(family, variant, index, engine, &mut series);
                }
            }
        } else {
            for (index, engine) in engines.iter().enumerate() {
                for variant in &variants {
                    self.engine(family, variant, index, engine, &mut series);
                }
            }
        }
        series
    }

    fn engine(
        &'a self,
        family: &Family,
        variant: &Variant<'a>,
        index: usize,
        engine: &'a EngineTruth,
        out: &mut Vec<Series<'a>>,
    ) {
        let pids = if family.has_label("pid") {
            self.truth.http.len()
        } else {
            1
        };
        for process in 0..pids {
            let mut changed = self.model();
            changed.push(("engine", index.to_string()));
            changed.push(("pid", pid(process)));
            changed.extend(variant.changed.clone());
            out.push(Series {
                recorded: variant.recorded,
                changed,
                value: (variant.value)(engine),
                created: self.created(),
            });
        }
    }

    fn finish_reasons(&'a self, family: &'a Family) -> Vec<Variant<'a>> {
        let count =
            |reason: FinishReason| Box::new(move |e: &EngineTruth| one(float(e.finished(reason))));
        if self.release.generation() == Generation::V1
            && self.release.recorded() != Recorded::RustFrontend
        {
            // All reasons the release knows, from the start.
            return family
                .series
                .iter()
                .filter_map(|recorded| {
                    let name = label(recorded, "finished_reason")?;
                    let reason = FinishReason::ALL.into_iter().find(|r| r.as_str() == name)?;
                    Some(Variant {
                        recorded,
                        changed: None,
                        value: count(reason),
                    })
                })
                .collect();
        }
        // Reasons as they occur; the V0 engine knows three.
        let v0 = self.release.generation() == Generation::V0;
        let known = |reason: &FinishReason| {
            !v0 || !matches!(reason, FinishReason::Error | FinishReason::Repetition)
        };
        let mut reasons: Vec<FinishReason> = Vec::new();
        for engine in &self.truth.engines {
            for reason in engine.finish_reasons().filter(known) {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        reasons
            .into_iter()
            .filter_map(|reason| {
                Some(Variant {
                    recorded: family.series.first()?,
                    changed: Some(("finished_reason", reason.as_str().to_owned())),
                    value: count(reason),
                })
            })
            .collect()
    }

    fn positions(&'a self, family: &'a Family) -> Vec<Variant<'a>> {
        let positions = self
            .truth
            .config
            .speculation
            .as_ref()
            .map_or(0, |s| s.draft_tokens as usize);
        (0..positions)
            .filter_map(|position| {
                Some(Variant {
                    recorded: family.series.first()?,
                    changed: Some(("position", position.to_string())),
                    value: Box::new(move |e: &EngineTruth| {
                        let accepted = e.speculation.accepted_by_position.get(position);
                        one(float(accepted.copied().unwrap_or(0)))
                    }),
                })
            })
            .collect()
    }

    fn cache_config(&'a self, family: &'a Family) -> Vec<Series<'a>> {
        let config = &self.truth.config;
        let caching = if config.prefix_caching {
            "True"
        } else {
            "False"
        };
        let mut series = self.each(family, |_| one(1.0));
        // The front end adds up what its engines report and tells that sum of each of them.
        let blocks: u64 = self
            .truth
            .engines
            .iter()
            .map(|engine| engine.kv_blocks)
            .sum();
        for (series, engine) in series.iter_mut().zip(&self.truth.engines) {
            let tokens = engine.kv_blocks * u64::from(config.block_size);
            let concurrency = float(tokens) / f64::from(config.max_model_len);
            for (label, value) in [
                ("block_size", config.block_size.to_string()),
                (
                    "effective_attention_block_size",
                    config.block_size.to_string(),
                ),
                ("enable_prefix_caching", caching.to_owned()),
                ("kv_cache_size_tokens", tokens.to_string()),
                ("kv_cache_max_concurrency", format!("{concurrency:?}")),
                ("num_gpu_blocks", blocks.to_string()),
                // The number came from the cache's size, not from the operator.
                ("num_gpu_blocks_override", "None".to_owned()),
            ] {
                series.changed.push((label, value));
            }
        }
        series
    }

    fn lora(&'a self, family: &'a Family) -> Vec<Series<'a>> {
        let config = &self.truth.config;
        let names = |bits: u16| {
            let adapters = config.lora.as_ref().map_or(&[][..], |l| &l.adapters);
            let used: Vec<String> = adapters
                .iter()
                .enumerate()
                .filter(|(index, _)| bits & (1 << index) != 0)
                .map(|(_, name)| escape(name))
                .collect();
            used.join(",")
        };
        let max = config.lora.as_ref().map_or(0, |l| l.max_loras);
        // In multi-process mode the V1 engine's gauge is a sum over the processes.
        let times = if self.multi_process && self.release.generation() == Generation::V1 {
            float(self.truth.http.len() as u64)
        } else {
            1.0
        };
        let Some(recorded) = family.series.first() else {
            return Vec::new();
        };
        let series = |used: &LoraUse| Series {
            recorded,
            changed: vec![
                ("max_lora", max.to_string()),
                ("running_lora_adapters", names(used.running)),
                ("waiting_lora_adapters", names(used.waiting)),
            ],
            value: Value::One(
                times * (config.start_unix_seconds + used.updated),
                Nature::Float,
            ),
            created: self.created(),
        };
        self.truth.lora.iter().map(series).collect()
    }

    fn rejections(&'a self, family: &'a Family) -> Vec<Series<'a>> {
        family
            .series
            .iter()
            .map(|recorded| Series {
                recorded,
                changed: self.model(),
                value: one(match label(recorded, "reason") {
                    Some("max_num_queued_reqs") => float(self.truth.rejected),
                    _ => 0.0,
                }),
                created: self.created(),
            })
            .collect()
    }

    fn http(&'a self, family: &'a Family, http: Http) -> Vec<Series<'a>> {
        let Some(recorded) = family.series.first() else {
            return Vec::new();
        };
        let start = self.truth.config.start_unix_seconds;
        let handlers = || self.http.iter().flat_map(|process| &process.handlers);
        let mut keys: Vec<(&'static str, &'static str, f64)> = Vec::new();
        match http {
            Http::AllDurations => {
                return vec![Series {
                    recorded,
                    changed: Vec::new(),
                    value: Value::Histogram(handlers().map(|h| &h.durations).collect()),
                    created: self.created(),
                }];
            }
            Http::Requests => {
                for answers in self.http.iter().flat_map(|process| &process.answers) {
                    note(&mut keys, answers.handler, answers.status, answers.since);
                }
            }
            Http::RequestBytes | Http::ResponseBytes | Http::Durations => {
                for handler in handlers() {
                    note(&mut keys, handler.handler, "", handler.since);
                }
            }
        }
        keys.sort_by(|a, b| a.2.total_cmp(&b.2));
        let value = |name: &str, status: &str| {
            let of = || handlers().filter(|h| h.handler == name);
            let sum = |bytes: u64| Value::Summary {
                count: float(of().map(|h| h.durations.count()).sum()),
                sum: float(bytes),
            };
            match http {
                Http::Requests => one(float(
                    self.http
                        .iter()
                        .flat_map(|process| &process.answers)
                        .filter(|a| a.handler == name && a.status == status)
                        .map(|a| a.count)
                        .sum(),
                )),
                Http::RequestBytes => sum(of().map(|h| h.request_bytes).sum()),
                Http::ResponseBytes => sum(of().map(|h| h.response_bytes).sum()),
                Http::Durations | Http::AllDurations => {
                    Value::Histogram(of().map(|h| &h.durations).collect())
                }
            }
        };
        keys.into_iter()
            .map(|(name, status, since)| Series {
                recorded,
                changed: vec![("handler", name.to_owned()), ("status", status.to_owned())],
                value: value(name, status),
                created: start + since,
            })
            .collect()
    }

    /// The recorded series, with `value` or the values recorded.
    fn fixed(&'a self, family: &'a Family, value: Option<f64>) -> Vec<Series<'a>> {
        family
            .series
            .iter()
            .zip(&family.recorded)
            .map(|(labels, &recorded)| Series {
                recorded: labels,
                changed: Vec::new(),
                value: one(value.unwrap_or(recorded)),
                created: self.created(),
            })
            .collect()
    }

    fn model(&self) -> Vec<(&'static str, String)> {
        vec![("model_name", escape(&self.truth.config.model_name))]
    }

    fn created(&self) -> f64 {
        self.truth.config.start_unix_seconds + self.truth.started + CREATED_AFTER_SECONDS
    }
}

fn one(value: f64) -> Value<'static> {
    Value::One(value, Nature::Integer)
}

fn note(
    keys: &mut Vec<(&'static str, &'static str, f64)>,
    handler: &'static str,
    status: &'static str,
    since: f64,
) {
    match keys
        .iter_mut()
        .find(|(h, s, _)| *h == handler && *s == status)
    {
        Some((_, _, first)) => *first = first.min(since),
        None => keys.push((handler, status, since)),
    }
}

fn pid(process: usize) -> String {
    (1041 + process).to_string()
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn value_of(family: &Family, line: &Line, series: &Series<'_>) -> (f64, Nature) {
    match (line.part, &series.value) {
        (Part::Created, _) => (series.created, Nature::Float),
        (Part::Value, _) if family.is_created() => (series.created, Nature::Float),
        (Part::Value, &Value::One(value, nature)) => {
            let counted = family.kind == Kind::Counter;
            (value, if counted { Nature::Integer } else { nature })
        }
        (Part::Bucket, Value::Histogram(all)) => {
            let edge = line.le.map_or(f64::INFINITY, |(_, edge)| edge);
            let count = all
                .iter()
                .map(|o| o.cumulative(edge).expect("the tests look up every edge"))
                .sum();
            (float(count), Nature::Integer)
        }
        (Part::Count, Value::Histogram(all)) => {
            (float(all.iter().map(|o| o.count()).sum()), Nature::Integer)
        }
        (Part::Sum, Value::Histogram(all)) => (all.iter().map(|o| o.sum()).sum(), Nature::Float),
        (Part::Count, &Value::Summary { count, .. }) => (count, Nature::Integer),
        (Part::Sum, &Value::Summary { sum, .. }) => (sum, Nature::Float),
        // A binding that does not fit the family's type: the tests write every page.
        (part, _) => unreachable!("{}: no {part:?}", family.name),
    }
}
