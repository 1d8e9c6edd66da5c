//! Reading the page of the same limiter, and the windows that its admin API lists, again and again costs
//! no allocation once warm, in whatever order it writes them, with all tenants kept and with most of them
//! folded, plain and hashed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

#[path = "../../../testdata/page.rs"]
mod page;
#[path = "../../../testdata/warm.rs"]
mod warm;

use tokenpath_core::exposition::Format;
use tokenpath_limitador::{Admin, LimitadorOptions, LimitadorTranslator, TenantHash, Window};

#[test]
fn no_page_of_a_warm_limiter_allocates() {
    let text = page::recorded("limitador", "limitador-2.4.0-dev-labels-t2-all.txt");
    let pages: Vec<String> = (0..7).map(|seed| page::shuffled(&text, seed)).collect();
    for limit in [0, 2, 1000] {
        for hashed in [false, true] {
            let mut options = LimitadorOptions::default();
            options.tenants.names = vec!["user".into(), "api_key".into()];
            options.tenants.limit = limit;
            options.tenants.hash = hashed.then(|| TenantHash::new(&[7; 32]).unwrap());
            let mut translator = LimitadorTranslator::new(options);
            let mut admin = windows();
            let what = format!("{limit} tenants, hashed: {hashed}");
            warm::pages_allocate_nothing(&what, Format::Text004, &pages, |upstream, out| {
                translator.read_page(upstream, Format::Text004).unwrap();
                admin.windows.rotate_left(3);
                translator.finish(&admin, out);
            });
        }
    }
}

/// A window for each of some tenants of the page, and for others.
fn windows() -> Admin {
    let mut admin = Admin::default();
    for tenant in 0..10 {
        let mut window = Window::default();
        window.limit.namespace = "acme".into();
        window.limit.window_seconds = 60;
        window.limit.max = 100;
        window.tenant = format!("key-{tenant}");
        window.remaining = Some(tenant);
        admin.windows.push(window);
    }
    admin
}
