//! Who we are to a target: bearer token or basic auth, inline or from a file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::Secret;

/// The largest credential file that is read. Tokens of Kubernetes have about 1 KiB.
const FILE_LIMIT: u64 = 64 * 1024;

/// Where a token or a password comes from.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Held in memory.
    Inline(Secret),
    /// Read again for every request, so that a rotated token is used at once. Space around the
    /// content is not part of it.
    File(PathBuf),
}

/// How requests to a target are authorized.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer …`
    Bearer(Credential),
    /// `Authorization: Basic …`
    Basic {
        /// The name. Held as a secret: some services put their token there.
        username: Secret,
        /// The password.
        password: Credential,
    },
}

impl Auth {
    /// The value of `Authorization`, marked sensitive. Reads the file, if there is one, in place:
    /// it is small and regular, and handing it to another thread would cost more than the read.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, AuthError> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Bearer(token) => {
                let token = token.load()?;
                Zeroizing::new(format!("Bearer {}", token.expose()))
            }
            Self::Basic { username, password } => {
                if username.expose().contains(':') {
                    return Err(AuthError::Colon);
                }
                let password = password.load()?;
                let pair = Zeroizing::new(format!("{}:{}", username.expose(), password.expose()));
                Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| AuthError::NotAHeader)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Credential {
    fn load(&self) -> Result<Secret, AuthError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_credential(path).map_err(|cause| AuthError::File {
                path: path.clone(),
                cause,
            }),
        }
    }
}

/// Reads a credential file. Anything but a regular file is refused before it is opened: opening a
/// pipe would block.
fn read_credential(path: &Path) -> io::Result<Secret> {
    let refuse = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    if !fs::metadata(path)?.is_file() {
        return Err(refuse("not a regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(refuse("larger than 64 KiB, so it is no token"));
    }
    match text.trim() {
        "" => Err(refuse("the file is empty")),
        text => Ok(Secret::new(text)),
    }
}

/// Why there is no `Authorization` header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// The file cannot be used.
    #[error("cannot read the credential file {}: {cause}", path.display())]
    File {
        /// The file as configured.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It would be read as the end of the name.
    #[error("the user name has a colon, which basic auth cannot carry")]
    Colon,
    /// A line break or a control character inside.
    #[error("the credential has a character that no HTTP header may carry")]
    NotAHeader,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(auth: &Auth) -> String {
        auth.header().unwrap().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn encodes_basic_auth_as_the_rfc_example() {
        let auth = Auth::Basic {
            username: Secret::new("Aladdin"),
            password: Credential::Inline(Secret::new("open sesame")),
        };
        assert_eq!(text(&auth), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn reads_the_token_file_anew_and_trims_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let auth = Auth::Bearer(Credential::File(path.clone()));
        fs::write(&path, "one\n").unwrap();
        assert_eq!(text(&auth), "Bearer one");
        fs::write(&path, " two\r\n").unwrap();
        assert_eq!(text(&auth), "Bearer two");
    }

    #[test]
    fn names_the_file_that_it_cannot_use() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty");
        fs::write(&empty, "\n").unwrap();
        let huge = dir.path().join("huge");
        fs::write(&huge, vec![b'x'; 70_000]).unwrap();
        for (path, what) in [
            (dir.path().join("missing"), "No such file"),
            (empty, "empty"),
            (huge, "64 KiB"),
            (dir.path().to_owned(), "not a regular file"),
        ] {
            let error = Auth::Bearer(Credential::File(path.clone()))
                .header()
                .unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains(what) && message.contains(path.to_str().unwrap()),
                "{message}"
            );
        }
    }

    #[test]
    fn refuses_a_user_name_that_would_be_cut() {
        let password = Credential::Inline(Secret::new("p"));
        let auth = Auth::Basic {
            username: Secret::new("can:ary"),
            password,
        };
        assert!(auth.header().unwrap_err().to_string().contains("colon"));
    }

    #[test]
    fn refuses_a_token_with_a_line_break_inside_without_showing_it() {
        let auth = Auth::Bearer(Credential::Inline(Secret::new("canary\r\nHost: evil")));
        let error = auth.header().unwrap_err();
        assert!(!format!("{error} {error:?} {auth:?}").contains("canary"));
    }
}
