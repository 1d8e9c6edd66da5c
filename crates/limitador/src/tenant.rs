//! Who a tenant is: which label or variable names it, and whether its name is shown.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokenpath_core::fold::BoundedValues;

/// What tenants over the cap are called together, unless told.
pub const OTHER: &str = "other";

/// How tenants are told apart and shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantOptions {
    /// What names the tenant: labels of the metrics page and CEL variables of the counters. The first
    /// that a series has is its tenant. Without any, series are those of their namespace.
    ///
    /// A variable is matched by the end of its path, however it is spelled: `userid` and
    /// `auth.identity.userid` both mean `descriptors[0].auth.identity.userid` and
    /// `descriptors[0]["auth.identity.userid"]`.
    pub names: Vec<String>,
    /// More labels or variables to keep, with what they are called on our page. They should have few
    /// values. All others are added up. One that is called as a label of ours (`tenant`, `namespace`,
    /// `limit`, `decision`, `window_seconds`), or as one kept before it, gives way.
    pub keep: Vec<(String, String)>,
    /// Shows a keyed hash instead of the tenant's name.
    pub hash: Option<TenantHash>,
    /// Most tenants with series of their own; 1,000 by default. The others share one.
    pub limit: usize,
    /// Tenants that have series of their own whatever the limit, by their names as upstream has them.
    /// They take none of its places.
    pub always: Vec<String>,
    /// What the tenants that share are called; [`OTHER`] by default. A tenant of that very name is
    /// one of them.
    pub other: String,
}

impl Default for TenantOptions {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            keep: Vec::new(),
            hash: None,
            limit: 1000,
            always: Vec::new(),
            other: OTHER.to_owned(),
        }
    }
}

impl TenantOptions {
    /// Whether a label may be kept under a name.
    pub(crate) fn may_keep(ours: &str) -> bool {
        !["tenant", "namespace", "limit", "decision", "window_seconds"].contains(&ours)
    }

    /// The tenant of a series of the metrics page.
    pub(crate) fn of_labels<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> Option<&'l str> {
        let named = self.names.iter().filter_map(|name| label(name));
        named.into_iter().find(|value| !value.is_empty())
    }

    /// The tenant of a counter, by its variables.
    #[cfg_attr(
        not(feature = "http"),
        allow(dead_code, reason = "counters come over HTTP")
    )]
    pub(crate) fn of_variables<'v>(
        &self,
        variables: &'v [(Cow<'_, str>, Cow<'_, str>)],
    ) -> Option<&'v str> {
        let named = self
            .names
            .iter()
            .filter_map(|name| variable(variables, name));
        named.into_iter().find(|value| !value.is_empty())
    }

    /// Whether a tenant has series of its own.
    pub(crate) fn apart(&self, tenant: &str, kept: &BoundedValues) -> bool {
        kept.keeps(tenant) && tenant != self.other
    }

    /// How a tenant is shown.
    pub(crate) fn shown<'t>(&self, tenant: &'t str) -> Cow<'t, str> {
        match &self.hash {
            Some(hash) => Cow::Owned(hash.of(tenant)),
            None => Cow::Borrowed(tenant),
        }
    }
}

/// The value of the variable that a name means.
#[cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "counters come over HTTP")
)]
pub(crate) fn variable<'v>(
    variables: &'v [(Cow<'_, str>, Cow<'_, str>)],
    name: &str,
) -> Option<&'v str> {
    let found = variables.iter().find(|(text, _)| means(name, text));
    found.map(|(_, value)| &**value)
}

/// Whether a name means the CEL variable: the parts of its path are the last ones of the variable's.
#[cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "counters come over HTTP")
)]
fn means(name: &str, variable: &str) -> bool {
    let mut whole = parts(variable).rev();
    let mut wanted = parts(name).rev().peekable();
    wanted.peek().is_some() && wanted.all(|part| whole.next() == Some(part))
}

/// The parts of a path as `a.b`, `a["b"]` or `a["b.c"]`.
fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split(['.', '[', ']', '"', '\''])
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// Hashes tenants under a key: HMAC-SHA256, of which the first 64 bits are shown as 16 hex digits.
///
/// The same key gives the same text everywhere, so series of several exporters join. Without the key
/// a name cannot be found by trying names out, which a plain hash would allow; who has the key can.
/// Two of a million tenants share a text with a probability of about 1 in 40 million.
///
/// ```
/// use tokenpath_limitador::TenantHash;
///
/// let hash = TenantHash::new(b"a key of 16 bytes or more")?;
/// assert_eq!(hash.of("alice").len(), 16);
/// assert_ne!(hash.of("alice"), hash.of("bob"));
/// assert_eq!(format!("{hash:?}"), "TenantHash(***)");
/// assert!(TenantHash::new(b"short").is_err());
/// # Ok::<(), tokenpath_limitador::KeyTooShort>(())
/// ```
#[derive(Clone)]
pub struct TenantHash(Hmac<Sha256>);

/// The shortest key that is taken.
const KEY_BYTES: usize = 16;

impl TenantHash {
    /// Takes the key: 16 bytes or more, best 32 random ones.
    ///
    /// # Errors
    ///
    /// Where it is shorter.
    pub fn new(key: &[u8]) -> Result<Self, KeyTooShort> {
        if key.len() < KEY_BYTES {
            return Err(KeyTooShort);
        }
        // HMAC takes keys of any length.
        Hmac::new_from_slice(key).map(Self).map_err(|_| KeyTooShort)
    }

    /// The text that stands for a tenant.
    #[must_use]
    pub fn of(&self, tenant: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(tenant.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let shown = bytes.iter().take(8);
        shown.map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for TenantHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantHash(***)")
    }
}

/// A key of fewer than 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTooShort;

impl fmt::Display for KeyTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the key for hashing tenants must have {KEY_BYTES} bytes or more"
        )
    }
}

impl std::error::Error for KeyTooShort {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_meant_by_the_end_of_its_path_however_it_is_spelled() {
        let spelled = [
            "descriptors[0].auth.identity.userid",
            r#"descriptors[0]["auth.identity.userid"]"#,
            r#"descriptors[0]['auth.identity.userid']"#,
            r#"descriptors[0]["auth"]["identity"]["userid"]"#,
            "auth.identity.userid",
        ];
        for text in spelled {
            for name in ["userid", "identity.userid", "auth.identity.userid", text] {
                assert!(means(name, text), "{name} {text}");
            }
            for name in [
                "user",
                "id",
                "auth",
                "x.userid",
                "",
                ".",
                "auth.identity.userid.x",
            ] {
                assert!(!means(name, text), "{name} {text}");
            }
        }
    }

    #[test]
    fn the_first_name_that_a_series_has_is_its_tenant() {
        let options = TenantOptions {
            names: vec!["user".into(), "api_key".into()],
            ..TenantOptions::default()
        };
        let label = |labels: &'static [(&str, &str)]| {
            options.of_labels(|name| {
                let found = labels.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| *value)
            })
        };
        assert_eq!(label(&[("api_key", "k"), ("user", "u")]), Some("u"));
        assert_eq!(label(&[("api_key", "k"), ("user", "")]), Some("k"));
        assert_eq!(label(&[("group", "g")]), None);
        assert_eq!(TenantOptions::default().of_labels(|_| Some("x")), None);
    }

    /// The first test case of RFC 4231.
    #[test]
    fn the_hash_is_hmac_sha256() {
        let hash = TenantHash::new(&[0x0b; 20]).unwrap();
        assert_eq!(hash.of("Hi There"), "b0344c61d8db3853");
    }
}
