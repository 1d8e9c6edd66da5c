//! Tenants: bounded, hashed, kept apart, and never where they should not be.

use std::fmt::Write;

use tokenpath_core::Snapshot;
use tokenpath_core::exposition::Format;
use tokenpath_limitador::{
    Admin, Limit, LimitadorOptions, LimitadorTranslator, OTHER, TenantHash, Window,
};

use crate::page::{self, recorded};

fn page(tenants: impl Iterator<Item = (String, u32)>) -> String {
    let mut families = [
        "# TYPE authorized_calls counter\n".to_owned(),
        "# TYPE authorized_hits counter\n".to_owned(),
        "# TYPE limited_calls counter\n".to_owned(),
    ];
    let names = ["authorized_calls", "authorized_hits", "limited_calls"];
    for (tenant, calls) in tenants {
        for (family, name) in families.iter_mut().zip(names) {
            let labels = format!("user=\"{tenant}\",limitador_namespace=\"n\"");
            writeln!(family, "{name}{{{labels}}} {calls}").unwrap();
        }
    }
    families.concat()
}

fn options(limit: usize) -> LimitadorOptions {
    let mut options = LimitadorOptions::default();
    options.tenants.names = vec!["user".into()];
    options.tenants.limit = limit;
    options.translate.limits.samples = 1_000_000;
    options.translate.limits.page_bytes = 64 << 20;
    options
}

fn window(tenant: &str, max: u64, remaining: i64) -> Window {
    let mut limit = Limit::default();
    limit.namespace = "n".into();
    limit.name = "daily".into();
    limit.window_seconds = 60;
    limit.max = max;
    let mut window = Window::default();
    window.limit = limit;
    window.tenant = tenant.into();
    window.remaining = Some(remaining);
    window.reset_seconds = Some(30);
    window
}

fn admin(windows: Vec<Window>) -> Admin {
    let mut admin = Admin::default();
    admin.windows = windows;
    admin
}

fn read(translator: &mut LimitadorTranslator, text: &str, admin: &Admin, out: &mut Snapshot) {
    translator
        .read_page(text.as_bytes(), Format::Text004)
        .unwrap();
    translator.finish(admin, out);
}

fn quota(out: &Snapshot, family: &str, tenant: &str) -> Option<f64> {
    let labels = [
        ("namespace", "n"),
        ("tenant", tenant),
        ("limit", "daily"),
        ("window_seconds", "60"),
    ];
    out.value(&format!("llm_tenant_quota_{family}"), &labels)
}

fn authorized(out: &Snapshot, tenant: &str) -> Option<f64> {
    let labels = [
        ("namespace", "n"),
        ("tenant", tenant),
        ("decision", "authorized"),
    ];
    out.value("llm_tenant_requests_total", &labels)
}

#[test]
fn some_tenants_are_never_folded_and_the_others_have_the_name_that_is_wanted() {
    let mut options = options(1);
    options.tenants.always = vec!["vip".into()];
    options.tenants.other = "rest".into();
    let mut translator = LimitadorTranslator::new(options);
    let mut out = Snapshot::new();
    let calls = [("a", 30), ("b", 20), ("vip", 1), (OTHER, 5)];
    let text = page(
        calls
            .into_iter()
            .map(|(tenant, calls)| (tenant.to_owned(), calls)),
    );
    let admin = admin(vec![window("vip", 100, 40), window("b", 100, 100)]);
    read(&mut translator, &text, &admin, &mut out);
    assert_eq!(authorized(&out, "vip"), Some(1.0));
    assert_eq!(authorized(&out, "a"), Some(30.0));
    assert_eq!(authorized(&out, "rest"), Some(25.0));
    assert_eq!(authorized(&out, OTHER), None);
    assert_eq!(quota(&out, "limit", "vip"), Some(100.0));
    assert_eq!(quota(&out, "limit", "b"), None);
}

#[test]
fn tenants_over_the_cap_share_their_counts_and_have_no_quota() {
    let mut translator = LimitadorTranslator::new(options(2));
    let mut out = Snapshot::new();
    let calls = [("a", 1), ("b", 30), ("c", 20), (OTHER, 500)];
    let text = page(
        calls
            .into_iter()
            .map(|(tenant, calls)| (tenant.to_owned(), calls)),
    );
    let admin = admin(
        calls
            .iter()
            .map(|(tenant, _)| window(tenant, 100, 40))
            .collect(),
    );
    for first in [true, false] {
        read(&mut translator, &text, &admin, &mut out);
        // Somebody who is called `other` is one of the others.
        assert_eq!(authorized(&out, "b"), Some(30.0));
        assert_eq!(authorized(&out, OTHER), Some(521.0));
        assert_eq!(
            authorized(&out, "c"),
            None,
            "the two largest are other and b"
        );
        assert_eq!(quota(&out, "limit", "b"), Some(100.0));
        assert_eq!(quota(&out, "limit", "c"), None);
        assert_eq!(quota(&out, "limit", OTHER), None);
        let folded: Vec<_> = out.tally().folded().collect();
        assert_eq!(folded, [("tenant", if first { 2 } else { 0 })]);
    }
}

#[test]
fn a_hundred_thousand_tenants_stay_within_bounds() {
    let mut translator = LimitadorTranslator::new(options(500));
    let mut out = Snapshot::new();
    let names = |tenant: u32| format!("canary-{tenant}");
    let text = page((0..100_000).map(|tenant| (names(tenant), tenant + 1)));
    let windows = (0..100_000).map(|tenant| window(&names(tenant), 1000, 10));
    read(&mut translator, &text, &admin(windows.collect()), &mut out);
    let series: usize = out
        .shape()
        .families()
        .map(|family| family.series().len())
        .sum();
    assert_eq!(series, 3 * 501 + 5 * 500);
    assert_eq!(authorized(&out, "canary-99999"), Some(100_000.0));
    let kept: f64 = (99_501..=100_000).map(f64::from).sum();
    assert_eq!(authorized(&out, OTHER), Some(5_000_050_000.0 - kept));
    assert_eq!(
        out.tally().folded().collect::<Vec<_>>(),
        [("tenant", 99_500)]
    );
    assert!(!format!("{translator:?}").contains("canary"));
}

#[test]
fn hashed_tenants_join_and_their_names_are_nowhere() {
    let mut options = options(10);
    options.tenants.hash = Some(TenantHash::new(b"a key of 16 bytes or more").unwrap());
    let hash = options.tenants.hash.clone().unwrap();
    let mut translator = LimitadorTranslator::new(options.clone());
    let mut out = Snapshot::new();
    let text = page([("canary-ann".to_owned(), 7)].into_iter());
    let windows = vec![window("canary-ann", 10, 4)];
    let shown_window = format!("{:?}", windows[0]);
    read(&mut translator, &text, &admin(windows), &mut out);
    let ann = hash.of("canary-ann");
    assert_eq!(authorized(&out, &ann), Some(7.0));
    assert_eq!(quota(&out, "remaining", &ann), Some(4.0));
    let everything = format!(
        "{:?}{translator:?}{options:?}{shown_window}",
        page::held(&out)
    );
    assert!(
        !everything.contains("canary") && !everything.contains("a key of"),
        "{everything}"
    );
}

#[test]
fn quotas_below_zero_over_one_and_of_nothing_are_told_as_they_are() {
    let mut translator = LimitadorTranslator::new(options(10));
    let mut out = Snapshot::new();
    let mut unknown = window("d", 10, 0);
    (unknown.remaining, unknown.reset_seconds) = (None, None);
    let windows = vec![
        window("a", 1000, -80),
        window("b", 0, -3),
        window("c", 10, 10),
        unknown,
    ];
    read(
        &mut translator,
        "limitador_up 1\n",
        &admin(windows),
        &mut out,
    );
    let all = |tenant| {
        let parts = [
            "limit",
            "used",
            "remaining",
            "reset_seconds",
            "utilization_ratio",
        ];
        parts.map(|family| quota(&out, family, tenant))
    };
    assert_eq!(
        all("a"),
        [
            Some(1000.0),
            Some(1080.0),
            Some(-80.0),
            Some(30.0),
            Some(1.08)
        ]
    );
    assert_eq!(
        all("b"),
        [Some(0.0), Some(3.0), Some(-3.0), Some(30.0), None]
    );
    assert_eq!(
        all("c"),
        [Some(10.0), Some(0.0), Some(10.0), Some(30.0), Some(0.0)]
    );
    assert_eq!(all("d"), [Some(10.0), None, None, None, None]);
}

#[test]
fn of_windows_that_look_alike_the_one_nearest_to_its_limit_is_shown() {
    let mut translator = LimitadorTranslator::new(options(10));
    let mut out = Snapshot::new();
    for windows in [
        vec![window("a", 10, 6), window("a", 10, 0), window("a", 100, 50)],
        vec![window("a", 100, 50), window("a", 10, 0), window("a", 10, 6)],
    ] {
        read(
            &mut translator,
            "limitador_up 1\n",
            &admin(windows),
            &mut out,
        );
        assert_eq!(quota(&out, "limit", "a"), Some(10.0));
        assert_eq!(quota(&out, "remaining", "a"), Some(0.0));
    }
}

#[test]
fn a_window_that_is_over_is_absent() {
    let mut translator = LimitadorTranslator::new(options(10));
    let mut out = Snapshot::new();
    let text = page([("a".to_owned(), 7)].into_iter());
    for there in [true, false, true] {
        let windows = if there {
            vec![window("a", 10, 4)]
        } else {
            Vec::new()
        };
        read(&mut translator, &text, &admin(windows), &mut out);
        assert_eq!(quota(&out, "remaining", "a"), there.then_some(4.0));
        assert_eq!(authorized(&out, "a"), Some(7.0));
    }
}

/// Windows come and go, more of them than a snapshot keeps places for, and the limiter lists them in
/// another order each time: what is shown is that of a translator that knows nothing of before.
#[test]
fn windows_that_come_and_go_in_any_order_are_shown_as_if_they_were_the_first() {
    let mut translator = LimitadorTranslator::new(options(1000));
    let mut out = Snapshot::new();
    let mut random = 7_u64;
    for reading in 0..60_u64 {
        // Many tenants, then few, then others: places are given up and taken anew.
        let (first, count) = [(0, 200), (150, 20), (300, 120)][(reading / 7 % 3) as usize];
        let mut windows = Vec::new();
        for tenant in first..first + count {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if random >> 62 == 0 {
                continue;
            }
            let mut window = window(&format!("t{tenant}"), 100, (random >> 58) as i64);
            window.remaining = window.remaining.filter(|left| *left > 3);
            window.reset_seconds = (random >> 50 & 1 == 0).then_some(tenant);
            let at = (random >> 33) as usize % (windows.len() + 1);
            windows.insert(at, window);
        }
        let admin = admin(windows);
        read(&mut translator, "limitador_up 1\n", &admin, &mut out);
        let mut expected = Snapshot::new();
        let mut first_of_all = LimitadorTranslator::new(options(1000));
        read(&mut first_of_all, "limitador_up 1\n", &admin, &mut expected);
        assert_eq!(lines(&out), lines(&expected), "reading {reading}");
        assert!(lines(&out).len() > 40, "there is something to compare");
    }
}

/// All series with their values, sorted.
fn lines(snapshot: &Snapshot) -> Vec<String> {
    let families = snapshot.shape().families();
    let mut lines: Vec<String> = families
        .flat_map(|family| family.series().map(move |series| (family, series)))
        .filter_map(|(family, series)| {
            let value = snapshot.get(series.slot())?;
            let labels: Vec<_> = series.labels().collect();
            Some(format!("{} {labels:?} {value}", family.desc().name()))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn further_labels_are_kept_where_asked_for() {
    let mut options = options(10);
    options.tenants.names = vec!["api_key".into()];
    let keep = [
        ("model", "model_name"),
        ("site", "tenant"),
        ("site", "limit"),
        ("api_key", "model_name"),
    ];
    options.tenants.keep = keep.map(|(name, ours)| (name.into(), ours.into())).into();
    let mut translator = LimitadorTranslator::new(options);
    let mut out = Snapshot::new();
    let text = recorded("limitador", "limitador-2.4.0-dev-labels-t2-all.txt");
    read(&mut translator, &text, &Admin::default(), &mut out);
    let labels = [
        ("namespace", "acme"),
        ("tenant", "key-1"),
        ("decision", "authorized"),
        ("model_name", "model-b"),
    ];
    assert_eq!(out.value("llm_tenant_requests_total", &labels), Some(4.0));
}
