//! The gateway's page: one row for each thing counted, with its name in each generation.

use std::collections::BTreeMap;

use super::{Endpoint, GatewayTruth, Names, PLUGINS, Requests, mean};
use crate::page::{Family, Kind, Series, Value, go_page};
use crate::truth::float;
use crate::world::Tenant;

/// The names of one thing in the three generations; empty where a generation has none.
type Three = [&'static str; 3];

/// Labels of a series, and its value.
type Row<'a> = (Vec<(&'static str, String)>, Value<'a>);

/// The page.
pub(crate) fn page(truth: &GatewayTruth, tenants: &[Tenant], now: f64) -> String {
    let mut page = Page {
        truth,
        tenants,
        families: Vec::new(),
    };
    page.requests();
    page.latencies();
    page.pool();
    page.scheduler();
    page.flow_control();
    page.process(now);
    go_page(page.families)
}

struct Page<'a> {
    truth: &'a GatewayTruth,
    tenants: &'a [Tenant],
    families: Vec<Family<'a>>,
}

impl<'a> Page<'a> {
    /// The generations spoken, as indices into [`Three`].
    fn generations(&self) -> &'static [usize] {
        match self.truth.config.names {
            Names::InferenceModel => &[0],
            Names::InferenceObjective => &[1],
            Names::LlmD => &[2],
            Names::LlmDWithTwins => &[1, 2],
        }
    }

    /// Adds a family in each generation that has a name for it. `rows` gives the labels and values in
    /// a generation; rows whose labels are equal are added up.
    fn add(
        &mut self,
        names: Three,
        help: &'static str,
        kind: Kind,
        rows: impl Fn(usize) -> Vec<Row<'a>>,
    ) {
        for &generation in self.generations() {
            if names[generation].is_empty() {
                continue;
            }
            let mut series: BTreeMap<Vec<(&'static str, String)>, Value<'a>> = BTreeMap::new();
            for (labels, value) in rows(generation) {
                match series.entry(labels) {
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(value);
                    }
                    std::collections::btree_map::Entry::Occupied(mut sum) => {
                        sum.get_mut().add(&value);
                    }
                }
            }
            self.families.push(Family {
                name: names[generation],
                help: Some(help),
                kind,
                series: series
                    .into_iter()
                    .map(|(labels, value)| Series { labels, value })
                    .collect(),
            });
        }
    }

    /// The labels of a user's requests: only the third generation tells users apart.
    fn of_user(&self, generation: usize, user: usize) -> Vec<(&'static str, String)> {
        let model = self.truth.model_name.clone();
        let mut labels = vec![("model_name", model.clone()), ("target_model_name", model)];
        if generation == 2 {
            labels.push(("fairness_id", self.tenants[user].user.clone()));
            labels.push(("priority", self.tenants[user].priority.to_string()));
        }
        labels
    }

    /// A family with a value for each user.
    fn each_user(
        &mut self,
        names: Three,
        help: &'static str,
        kind: Kind,
        value: impl Fn(&'a Requests) -> Option<Value<'a>>,
    ) {
        let (truth, tenants) = (self.truth, self.tenants);
        let labels = Page {
            truth,
            tenants,
            families: Vec::new(),
        };
        self.add(names, help, kind, |generation| {
            let users = truth.requests.iter();
            users
                .filter_map(|(&user, requests)| {
                    let mut labels = labels.of_user(generation, user);
                    if names[generation] == "inference_objective_request_total" {
                        labels.push(("priority", tenants[user].priority.to_string()));
                    }
                    if kind == Kind::Gauge && generation < 2 {
                        labels.retain(|(name, _)| *name == "model_name");
                    }
                    Some((labels, value(requests)?))
                })
                .collect()
        });
    }

    /// A histogram of each user's requests, there from its first observation on.
    fn each_user_observed(
        &mut self,
        names: Three,
        help: &'static str,
        observed: fn(&Requests) -> &crate::observed::Observed,
    ) {
        self.each_user(names, help, Kind::Histogram, move |requests| {
            let observed = observed(requests);
            (observed.count() > 0).then(|| Value::of(observed))
        });
    }

    fn requests(&mut self) {
        self.each_user(
            [
                "inference_model_request_total",
                "inference_objective_request_total",
                "llm_d_epp_request_total",
            ],
            "[ALPHA] Requests sent to a model server.",
            Kind::Counter,
            |requests| (requests.requests > 0).then(|| Value::count(requests.requests)),
        );
        self.each_user(
            [
                "inference_model_running_requests",
                "inference_objective_running_requests",
                "llm_d_epp_request_running",
            ],
            "[ALPHA] Requests on model servers now.",
            Kind::Gauge,
            |requests| Some(Value::count(requests.running)),
        );
        let (truth, tenants) = (self.truth, self.tenants);
        self.add(
            [
                "inference_model_request_error_total",
                "inference_objective_request_error_total",
                "llm_d_epp_request_error_total",
            ],
            "[ALPHA] Requests that failed, by code.",
            Kind::Counter,
            |generation| {
                let page = Page {
                    truth,
                    tenants,
                    families: Vec::new(),
                };
                let users = truth.requests.iter();
                users
                    .flat_map(|(&user, requests)| {
                        let labels = page.of_user(generation, user);
                        requests.errors.iter().map(move |(code, &n)| {
                            let mut labels = labels.clone();
                            labels.push(("error_code", code.as_str().to_owned()));
                            (labels, Value::count(n))
                        })
                    })
                    .collect()
            },
        );
        self.each_user_observed(
            [
                "inference_model_request_sizes",
                "inference_objective_request_sizes",
                "llm_d_epp_request_size_bytes",
            ],
            "[ALPHA] Bytes of requests.",
            |requests| &requests.request_bytes,
        );
        self.each_user_observed(
            [
                "inference_model_response_sizes",
                "inference_objective_response_sizes",
                "llm_d_epp_response_size_bytes",
            ],
            "[ALPHA] Bytes of responses.",
            |requests| &requests.response_bytes,
        );
        self.each_user_observed(
            [
                "inference_model_input_tokens",
                "inference_objective_input_tokens",
                "llm_d_epp_request_input_tokens",
            ],
            "[ALPHA] Tokens of prompts.",
            |requests| &requests.input,
        );
        self.each_user_observed(
            [
                "inference_model_output_tokens",
                "inference_objective_output_tokens",
                "llm_d_epp_request_output_tokens",
            ],
            "[ALPHA] Tokens of answers.",
            |requests| &requests.output,
        );
        self.each_user_observed(
            [
                "",
                "inference_objective_prompt_cached_tokens",
                "llm_d_epp_request_cached_tokens",
            ],
            "[ALPHA] Tokens of prompts that were cached.",
            |requests| &requests.cached,
        );
    }

    /// The second generation has first tokens and times per token only where it predicts them, which
    /// this gateway does not.
    fn latencies(&mut self) {
        self.each_user_observed(
            [
                "inference_model_request_duration_seconds",
                "inference_objective_request_duration_seconds",
                "llm_d_epp_request_duration_seconds",
            ],
            "[ALPHA] Seconds of requests from end to end.",
            |requests| &requests.duration,
        );
        self.each_user_observed(
            [
                "inference_model_normalized_time_per_output_token_seconds",
                "inference_objective_normalized_time_per_output_token_seconds",
                "llm_d_epp_request_ntpot_seconds",
            ],
            "[ALPHA] Seconds of requests for each token of the answer.",
            |requests| &requests.normalized,
        );
        let (truth, tenants) = (self.truth, self.tenants);
        self.add(
            ["", "", "llm_d_epp_request_ttft_seconds"],
            "[ALPHA] Seconds to the first token.",
            Kind::Histogram,
            |generation| {
                let page = Page {
                    truth,
                    tenants,
                    families: Vec::new(),
                };
                let users = truth.requests.iter();
                users
                    .flat_map(|(&user, requests)| {
                        [
                            ("true", &requests.first_token),
                            ("false", &requests.whole_answer),
                        ]
                        .into_iter()
                        .filter(|(_, observed)| observed.count() > 0)
                        .map(|(streaming, observed)| {
                            let mut labels = page.of_user(generation, user);
                            labels.push(("streaming", streaming.to_owned()));
                            (labels, Value::of(observed))
                        })
                        .collect::<Vec<_>>()
                    })
                    .collect()
            },
        );
        self.each_user_observed(
            ["", "", "llm_d_epp_request_streaming_tpot_seconds"],
            "[ALPHA] Mean seconds between the tokens of a streamed answer.",
            |requests| &requests.per_token,
        );
        self.each_user_observed(
            ["", "", "llm_d_epp_request_streaming_itl_seconds"],
            "[ALPHA] Seconds between two tokens of a streamed answer.",
            |requests| &requests.between_tokens,
        );
    }

    fn pool(&mut self) {
        let truth = self.truth;
        let name = || vec![("name", truth.config.pool.clone())];
        let mut gauge = |names: Three, help, value: Option<f64>| {
            self.add(names, help, Kind::Gauge, |_| {
                value
                    .map(|value| (name(), Value::Number(value)))
                    .into_iter()
                    .collect()
            });
        };
        let values = |of: fn(&Endpoint) -> f64| truth.ready().map(of);
        let average = |of| mean(values(of)).or(Some(0.0));
        let deviation = |of| {
            let average = mean(values(of))?;
            let variance = mean(values(of).map(|value| (value - average).powi(2)))?;
            Some(variance.sqrt())
        };
        let kv: fn(&Endpoint) -> f64 = |e| e.kv_usage;
        let queue: fn(&Endpoint) -> f64 = |e| float(e.waiting);
        let running: fn(&Endpoint) -> f64 = |e| float(e.running);
        gauge(
            [
                "inference_pool_average_kv_cache_utilization",
                "inference_pool_average_kv_cache_utilization",
                "llm_d_epp_average_kv_cache_utilization",
            ],
            "[ALPHA] Mean share of the KV cache in use on the pool's model servers.",
            average(kv),
        );
        gauge(
            [
                "inference_pool_average_queue_size",
                "inference_pool_average_queue_size",
                "llm_d_epp_average_queue_size",
            ],
            "[ALPHA] Mean requests waiting on the pool's model servers.",
            average(queue),
        );
        gauge(
            [
                "",
                "inference_pool_average_running_requests",
                "llm_d_epp_average_running_requests",
            ],
            "[ALPHA] Mean requests running on the pool's model servers.",
            average(running),
        );
        for (name, help, of) in [
            (
                "llm_d_epp_std_dev_kv_cache_utilization",
                "[ALPHA] Standard deviation of the share of the KV cache in use.",
                kv,
            ),
            (
                "llm_d_epp_std_dev_queue_size",
                "[ALPHA] Standard deviation of the requests waiting.",
                queue,
            ),
            (
                "llm_d_epp_std_dev_running_requests",
                "[ALPHA] Standard deviation of the requests running.",
                running,
            ),
        ] {
            gauge(["", "", name], help, deviation(of));
        }
        gauge(
            [
                "inference_pool_ready_pods",
                "inference_pool_ready_pods",
                "llm_d_epp_ready_endpoints",
            ],
            "[ALPHA] Model servers of the pool that are ready.",
            Some(float(truth.ready().count() as u64)),
        );
        self.add(
            [
                "inference_pool_per_pod_queue_size",
                "inference_pool_per_pod_queue_size",
                "llm_d_epp_per_endpoint_queue_size",
            ],
            "[ALPHA] Requests waiting on each model server.",
            Kind::Gauge,
            |generation| {
                let label = if generation == 2 {
                    "model_server_endpoint"
                } else {
                    "model_server_pod"
                };
                let endpoints = truth.ready();
                endpoints
                    .map(|endpoint| {
                        let mut labels = name();
                        labels.push((label, endpoint.name.clone()));
                        (labels, Value::count(endpoint.waiting))
                    })
                    .collect()
            },
        );
    }

    fn scheduler(&mut self) {
        let (truth, tenants) = (self.truth, self.tenants);
        let observed = |observed| vec![(Vec::new(), Value::of(observed))];
        self.add(
            [
                "inference_extension_scheduler_e2e_duration_seconds",
                "inference_extension_scheduler_e2e_duration_seconds",
                "llm_d_epp_scheduler_e2e_duration_seconds",
            ],
            "[ALPHA] Seconds of choosing a model server.",
            Kind::Histogram,
            |_| observed(&truth.scheduling),
        );
        self.add(
            [
                "",
                "inference_extension_scheduler_attempts_total",
                "llm_d_epp_scheduler_attempts_total",
            ],
            "[ALPHA] Choices of a model server.",
            Kind::Counter,
            |generation| {
                let endpoint_label = if generation == 2 {
                    "endpoint_name"
                } else {
                    "pod_name"
                };
                let row = |status: &str, endpoint: &str, n| {
                    let placed = |value: &str| {
                        if endpoint.is_empty() {
                            String::new()
                        } else {
                            value.to_owned()
                        }
                    };
                    let labels = vec![
                        ("status", status.to_owned()),
                        ("target_model_name", truth.model_name.clone()),
                        (endpoint_label, endpoint.to_owned()),
                        ("namespace", placed(&truth.config.namespace)),
                        ("port", placed("8000")),
                    ];
                    (labels, Value::count(n))
                };
                let mut rows: Vec<Row<'_>> = truth
                    .chosen
                    .iter()
                    .filter_map(|(&server, &n)| Some(row("success", name_of(truth, server)?, n)))
                    .collect();
                if truth.not_chosen > 0 {
                    rows.push(row("failure", "", truth.not_chosen));
                }
                rows
            },
        );
        self.add(
            [
                "inference_extension_plugin_duration_seconds",
                "inference_extension_plugin_duration_seconds",
                "llm_d_epp_plugin_duration_seconds",
            ],
            "[ALPHA] Seconds of each plugin.",
            Kind::Histogram,
            |_| {
                let plugins = PLUGINS.iter().zip(&truth.plugins);
                plugins
                    .map(|((point, kind, name), observed)| {
                        let labels = vec![
                            ("extension_point", (*point).to_owned()),
                            ("plugin_type", (*kind).to_owned()),
                            ("plugin_name", (*name).to_owned()),
                        ];
                        (labels, Value::of(observed))
                    })
                    .collect()
            },
        );
        self.prefixes();
        self.add(
            [
                "",
                "llm_d_inference_scheduler_pd_decision_total",
                "llm_d_epp_pd_decision_total",
            ],
            "[ALPHA] Requests by where they are computed.",
            Kind::Counter,
            |generation| {
                let decisions = truth.decisions.iter();
                decisions
                    .map(|(decision, &n)| {
                        let mut labels = vec![
                            ("decision_type", decision.as_str().to_owned()),
                            ("model_name", truth.model_name.clone()),
                        ];
                        if generation == 2 {
                            labels.push(("plugin_name", "pd-profile-handler".to_owned()));
                            labels.push(("plugin_type", "pd-profile-handler".to_owned()));
                        }
                        (labels, Value::count(n))
                    })
                    .collect()
            },
        );
        self.add(
            ["", "", "llm_d_epp_inflight_requests"],
            "[ALPHA] Requests under way on each model server.",
            Kind::Gauge,
            |_| {
                let under_way = truth.under_way.iter();
                under_way
                    .filter_map(|(&(server, user), &n)| {
                        let labels = vec![
                            ("endpoint_name", name_of(truth, server)?.to_owned()),
                            ("namespace", truth.config.namespace.clone()),
                            ("producer_name", "inflight-load".to_owned()),
                            ("fairness_id", tenants[user].user.clone()),
                            ("priority", tenants[user].priority.to_string()),
                        ];
                        Some((labels, Value::count(n)))
                    })
                    .collect()
            },
        );
    }

    fn prefixes(&mut self) {
        let truth = self.truth;
        let plugin = |generation: usize| {
            let name = || "prefix-cache-scorer".to_owned();
            if generation == 2 {
                vec![("plugin_name", name()), ("plugin_type", name())]
            } else {
                Vec::new()
            }
        };
        self.add(
            [
                "inference_extension_prefix_indexer_size",
                "inference_extension_prefix_indexer_size",
                "llm_d_epp_prefix_indexer_size",
            ],
            "[ALPHA] Blocks in the index of prefixes.",
            Kind::Gauge,
            |generation| vec![(plugin(generation), Value::count(truth.prefix_blocks))],
        );
        self.add(
            [
                "inference_extension_prefix_indexer_hit_ratio",
                "inference_extension_prefix_indexer_hit_ratio",
                "llm_d_epp_prefix_indexer_hit_ratio",
            ],
            "[ALPHA] Share of a prompt found in the index of prefixes.",
            Kind::Histogram,
            |generation| vec![(plugin(generation), Value::of(&truth.prefix_ratio))],
        );
        self.add(
            [
                "inference_extension_prefix_indexer_hit_bytes",
                "inference_extension_prefix_indexer_hit_bytes",
                "llm_d_epp_prefix_indexer_hit_bytes",
            ],
            "[ALPHA] Bytes of a prompt found in the index of prefixes.",
            Kind::Histogram,
            |generation| vec![(plugin(generation), Value::of(&truth.prefix_bytes))],
        );
        self.add(
            [
                "kvcache_index_lookup_requests_total",
                "kvcache_index_lookup_requests_total",
                "llm_d_router_epp_kv_cache_index_lookup_requests_total",
            ],
            "Look-ups in the index of KV blocks.",
            Kind::Counter,
            |_| vec![(Vec::new(), Value::count(truth.prefix_lookups))],
        );
        self.add(
            [
                "kvcache_index_lookup_hits_total",
                "kvcache_index_lookup_hits_total",
                "llm_d_router_epp_kv_cache_index_lookup_hits_total",
            ],
            "Blocks in a row that the best model server had, added up over look-ups.",
            Kind::Counter,
            |_| vec![(Vec::new(), Value::count(truth.prefix_hit_blocks))],
        );
    }

    fn flow_control(&mut self) {
        let (truth, tenants) = (self.truth, self.tenants);
        if !truth.config.flow_control {
            return;
        }
        let flow = |user: usize| {
            vec![
                ("fairness_id", tenants[user].user.clone()),
                ("priority", tenants[user].priority.to_string()),
                ("inference_pool", truth.config.pool.clone()),
                ("model_name", truth.model_name.clone()),
                ("target_model_name", truth.model_name.clone()),
            ]
        };
        let gauges = |counts: &BTreeMap<usize, u64>| -> Vec<Row<'a>> {
            let counts = counts.iter();
            counts
                .map(|(&user, &n)| (flow(user), Value::count(n)))
                .collect()
        };
        self.add(
            [
                "",
                "inference_extension_flow_control_queue_size",
                "llm_d_epp_flow_control_queue_size",
            ],
            "[ALPHA] Requests waiting in the gateway.",
            Kind::Gauge,
            |_| gauges(&truth.queued),
        );
        self.add(
            [
                "",
                "inference_extension_flow_control_queue_bytes",
                "llm_d_epp_flow_control_queue_bytes",
            ],
            "[ALPHA] Bytes of the requests waiting in the gateway.",
            Kind::Gauge,
            |_| gauges(&truth.queued_bytes),
        );
        self.add(
            [
                "",
                "inference_extension_flow_control_request_queue_duration_seconds",
                "llm_d_epp_flow_control_request_queue_duration_seconds",
            ],
            "[ALPHA] Seconds that requests waited in the gateway.",
            Kind::Histogram,
            |_| {
                let queue = truth.queue.iter();
                queue
                    .map(|(&(user, outcome), observed)| {
                        let mut labels = flow(user);
                        labels.push(("outcome", outcome.as_str().to_owned()));
                        (labels, Value::of(observed))
                    })
                    .collect()
            },
        );
        self.add(
            [
                "",
                "inference_extension_flow_control_request_enqueue_duration_seconds",
                "llm_d_epp_flow_control_request_enqueue_duration_seconds",
            ],
            "[ALPHA] Seconds of putting requests into the gateway's queue.",
            Kind::Histogram,
            |_| {
                let enqueue = truth.enqueue.iter();
                enqueue
                    .map(|(&(user, outcome), observed)| {
                        let labels = vec![
                            ("fairness_id", tenants[user].user.clone()),
                            ("priority", tenants[user].priority.to_string()),
                            ("outcome", outcome.as_str().to_owned()),
                        ];
                        (labels, Value::of(observed))
                    })
                    .collect()
            },
        );
        self.add(
            [
                "",
                "inference_extension_flow_control_dispatch_cycle_duration_seconds",
                "llm_d_epp_flow_control_dispatch_cycle_duration_seconds",
            ],
            "[ALPHA] Seconds of looking for a request to send.",
            Kind::Histogram,
            |_| vec![(Vec::new(), Value::of(&truth.dispatch))],
        );
        self.add(
            [
                "",
                "inference_extension_flow_control_pool_saturation",
                "llm_d_epp_flow_control_pool_saturation",
            ],
            "[ALPHA] How full the pool is; 1 is saturated.",
            Kind::Gauge,
            |_| {
                let pool = vec![("inference_pool", truth.config.pool.clone())];
                vec![(pool, Value::Number(truth.saturation()))]
            },
        );
    }

    fn process(&mut self, now: f64) {
        let info = [
            "inference_extension_info",
            "inference_extension_info",
            "llm_d_epp_info",
        ];
        self.add(info, "[ALPHA] The build.", Kind::Gauge, |_| {
            let labels = vec![
                ("commit", "0000000".to_owned()),
                ("build_ref", "simulated".to_owned()),
            ];
            vec![(labels, Value::Number(1.0))]
        });
        let handled = self.truth.scheduling.count();
        for (name, help, kind, value) in [
            (
                "go_goroutines",
                "Number of goroutines that currently exist.",
                Kind::Gauge,
                64.0 + float(self.truth.requests.values().map(|r| r.running).sum()),
            ),
            (
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
                Kind::Counter,
                // To a hundredth, as the kernel counts.
                ((0.01 * now + 0.0006 * float(handled)) * 100.0).floor() / 100.0,
            ),
        ] {
            let value: Value<'a> = Value::Number(value);
            self.families.push(Family {
                name,
                help: Some(help),
                kind,
                series: vec![Series {
                    labels: Vec::new(),
                    value,
                }],
            });
        }
    }
}

fn name_of(truth: &GatewayTruth, server: usize) -> Option<&str> {
    let endpoint = truth.endpoints.iter().find(|e| e.server == server);
    endpoint.map(|endpoint| endpoint.name.as_str())
}
