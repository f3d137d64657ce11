//! Who may ask: what keeps the pages to those they are meant for.
//!
//! A browser sends requests wherever a web page tells it to, from within the machine or the network that the server
//! trusts. Two ways are closed:
//! - *DNS rebinding*: the page's own name is made to lead to 127.0.0.1, and the browser takes the answers for the
//!   page's. Such a request carries that name as its `Host`. So hosts must be numbers, `localhost`, or names that the
//!   program has allowed.
//! - *Requests across sites*: a page cannot read the answers, but each CPU profile is work. Browsers say where a request
//!   comes from (`Sec-Fetch-Site`); following a link is allowed.

use super::request::Request;
use super::response::Refusal;
use std::net::IpAddr;

/// # Errors
/// The request is refused.
pub(super) fn check(request: &Request, allowed: &[String], is_loopback_only: bool) -> Result<(), Refusal> {
    let host = request.header("host").unwrap_or_default();
    if !host_is_allowed(host, allowed, is_loopback_only) {
        let text = format!(
            "the request is for the host {host:?}, which is not this server's: it must be asked by address or as \
             localhost (ServerConfig::host allows other names)"
        );
        return Err(Refusal::new(403, text));
    }
    let is_from_elsewhere = matches!(request.header("sec-fetch-site"), Some("cross-site" | "same-site"));
    if is_from_elsewhere && request.header("sec-fetch-mode") != Some("navigate") {
        return Err(Refusal::new(403, "the request comes from a page of another site"));
    }
    Ok(())
}

fn host_is_allowed(host: &str, allowed: &[String], is_loopback_only: bool) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => !is_loopback_only || address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || allowed.iter().any(|other| other.eq_ignore_ascii_case(&name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_numbers_localhost_or_allowed() {
        let allowed = ["debug.example.org".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:6060",
            "[::1]:6060",
            "[::ffff:127.0.0.1]",
            "localhost:6060",
            "LOCALHOST.",
            "Debug.Example.Org:80",
        ] {
            assert!(host_is_allowed(host, &allowed, true), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:6060",
            "localhost.evil.example",
            "10.0.0.1:6060",
            "[::2]",
            "[::ffff:10.0.0.1]",
            "::1",
            "127.0.0.1.evil",
        ] {
            assert!(!host_is_allowed(host, &allowed, true), "{host}");
        }
        assert!(host_is_allowed("10.0.0.1:6060", &[], false));
        assert!(!host_is_allowed("evil.example", &[], false));
    }
}
