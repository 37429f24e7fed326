//! On whose behalf a request was made: header fields in, an [`Identity`] out.
//!
//! Nothing here verifies anything: a passive observer can only say what the
//! client claims. Tokens themselves are never kept.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::event::Identity;
use crate::findings::Auth;
use crate::stream::{Header, find_header};

/// Longest name that is kept of a user.
const MAX_USER: usize = 128;
/// Longest credential that is looked into.
const MAX_CREDENTIAL: usize = 16 << 10;

/// Fields in which identity-aware proxies name the user.
const USER_FIELDS: &[&str] = &[
    "cf-access-authenticated-user-email",
    "x-auth-request-email",
    "x-forwarded-email",
    "x-goog-authenticated-user-email",
    "x-forwarded-user",
    "x-remote-user",
];

/// Fields that carry an API key by custom.
const KEY_FIELDS: &[&str] = &["x-api-key", "api-key", "apikey", "x-goog-api-key", "x-auth-token"];

/// Query parameters that carry a credential by custom.
const KEY_PARAMETERS: &[&str] = &["api_key", "apikey", "key", "token", "access_token"];

/// Claims of a JSON Web Token that name a person or service, best first.
const USER_CLAIMS: &[(&str, &str)] = &[
    ("email", "jwt:email"),
    ("preferred_username", "jwt:preferred_username"),
    ("upn", "jwt:upn"),
    ("sub", "jwt:sub"),
    ("client_id", "jwt:client_id"),
];

/// Reads who a request claims to come from.
pub(super) fn identify(headers: &[Header<'_>], query: &str) -> Identity {
    let authorization = find_header(headers, "authorization")
        .filter(|value| value.len() <= MAX_CREDENTIAL)
        .and_then(|value| std::str::from_utf8(value).ok());
    let (auth, user) = match authorization.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            (Auth::Bearer, user_of_jwt(token.trim()))
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => {
            (Auth::Basic, user_of_basic(token.trim()).map(|user| (user, "basic")))
        }
        Some(_) => (Auth::ApiKey, None),
        None => (other_auth(headers, query), None),
    };
    let user = user.or_else(|| user_by_proxy(headers));
    let (user, source) = match user {
        Some((user, source)) => (Some(user), Some(source)),
        None => (None, None),
    };
    Identity { auth, user, source }
}

fn other_auth(headers: &[Header<'_>], query: &str) -> Auth {
    let has = |name: &&str| find_header(headers, name).is_some();
    let names_key = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or("");
        KEY_PARAMETERS.iter().any(|key| name.eq_ignore_ascii_case(key))
    };
    if has(&"cf-access-client-id") || has(&"cf-access-client-secret") {
        Auth::ServiceToken
    } else if KEY_FIELDS.iter().any(has) || query.split('&').any(names_key) {
        Auth::ApiKey
    } else if has(&"cookie") {
        Auth::Cookie
    } else {
        Auth::None
    }
}

fn user_by_proxy(headers: &[Header<'_>]) -> Option<(String, &'static str)> {
    USER_FIELDS.iter().find_map(|field| {
        let value = std::str::from_utf8(find_header(headers, field)?).ok()?;
        Some((shorten(value)?, *field))
    })
}

fn user_of_basic(token: &str) -> Option<String> {
    let decoded = STANDARD.decode(token).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    shorten(text.split(':').next()?)
}

/// The claimed name in the payload of a JSON Web Token (RFC 7519), unverified.
fn user_of_jwt(token: &str) -> Option<(String, &'static str)> {
    let payload = token.split('.').nth(1)?;
    let decoded = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&decoded).ok()?;
    USER_CLAIMS
        .iter()
        .find_map(|(claim, source)| Some((shorten(claims.get(claim)?.as_str()?)?, *source)))
}

fn shorten(name: &str) -> Option<String> {
    let name = name.trim();
    (!name.is_empty()).then(|| name.chars().take(MAX_USER).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(
        fields: &[(&str, &str)],
        query: &str,
    ) -> (Auth, Option<String>, Option<&'static str>) {
        let headers: Vec<Header<'_>> = fields
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let Identity { auth, user, source } = identify(&headers, query);
        (auth, user, source)
    }

    #[test]
    fn schemes_and_who_they_name() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"42","email":"ann@example.com"}"#);
        let jwt = format!("Bearer e30.{payload}.sig");
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Auth, Option<&'a str>, Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (&[], "", Auth::None, None, None),
            (&[("Authorization", "Bearer opaque")], "", Auth::Bearer, None, None),
            (
                &[("authorization", &jwt)],
                "",
                Auth::Bearer,
                Some("ann@example.com"),
                Some("jwt:email"),
            ),
            (&[("Authorization", "Basic YW5uOnB3")], "", Auth::Basic, Some("ann"), Some("basic")),
            (&[("X-API-Key", "k")], "", Auth::ApiKey, None, None),
            (&[], "a=1&api_key=k", Auth::ApiKey, None, None),
            (&[("Cookie", "a=b")], "", Auth::Cookie, None, None),
            (&[("CF-Access-Client-Id", "x")], "", Auth::ServiceToken, None, None),
            (&[("X-Forwarded-User", "bob")], "", Auth::None, Some("bob"), Some("x-forwarded-user")),
        ];
        for (fields, query, auth, user, source) in cases {
            let found = identity(fields, query);
            assert_eq!(found, (*auth, user.map(str::to_owned), *source), "{fields:?}");
        }
    }

    #[test]
    fn broken_tokens_name_nobody() {
        for token in ["Bearer a.%%%.c", "Bearer a.bm90anNvbg.c", "Basic ***", "Basic /w=="] {
            assert_eq!(identity(&[("Authorization", token)], "").1, None, "{token}");
        }
    }
}
