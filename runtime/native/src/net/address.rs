//! Where a relay is, and which network it serves.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use identity::AccountId;
use ledger::{DecodeError, Founding, Network, NetworkError};
use serde::Deserialize;
use thiserror::Error;

/// A relay's address: `ws://host:port`, `wss://host`, or the same with `http` and `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    secure: bool,
    /// Host, and port if one is given.
    authority: String,
}

/// A relay that answered.
#[derive(Clone, Debug)]
pub struct FoundRelay {
    /// Where it is.
    pub address: RelayAddress,
    /// The account that its challenge must prove.
    pub account: AccountId,
    /// Its network.
    pub network: Arc<Network>,
}

/// Why a relay cannot be used.
#[derive(Debug, Error)]
pub enum FindError {
    /// It does not answer, or not as a relay does.
    #[error("{address}: {problem}")]
    Answer {
        /// Where.
        address: RelayAddress,
        /// What is wrong.
        problem: String,
    },
    /// What it calls its network is none.
    #[error("{address}: its network: {error}")]
    Founding {
        /// Where.
        address: RelayAddress,
        /// What is wrong.
        error: DecodeError,
    },
    /// Its network is not in order.
    #[error("{address}: its network: {error}")]
    Network {
        /// Where.
        address: RelayAddress,
        /// What is wrong.
        error: NetworkError,
    },
    /// The relay does not witness the network it names.
    #[error("{address}: {account} is no witness of the network it serves")]
    NotWitness {
        /// Where.
        address: RelayAddress,
        /// Who it says it is.
        account: AccountId,
    },
    /// Two relays serve two networks.
    #[error("{address} serves another network than the relay before it")]
    OtherNetwork {
        /// Where.
        address: RelayAddress,
    },
}

/// A text is no relay's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no relay's address: write ws://host:port or wss://host")]
pub struct AddressError(String);

impl FromStr for RelayAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(wrong()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
        match !authority.is_empty() && authority.chars().all(is_host) {
            true => Ok(RelayAddress { secure, authority: authority.to_owned() }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "wss" } else { "ws" }, self.authority)
    }
}

impl RelayAddress {
    /// A relay without TLS at this socket.
    pub fn plain(socket: std::net::SocketAddr) -> Self {
        RelayAddress { secure: false, authority: socket.to_string() }
    }

    /// Where edges connect.
    pub fn socket(&self) -> String {
        format!("{self}/v1/edge")
    }

    /// Where questions are asked.
    pub fn http(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.secure { "https" } else { "http" }, self.authority)
    }

    /// Asks the relay who it is and what network it serves. Blocks for a few seconds at most.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find(&self) -> Result<FoundRelay, FindError> {
        let address = || self.clone();
        let founding = self.get("/v1/network", MOST_FOUNDING_BYTES)?;
        let founding =
            Founding::decode(&founding).map_err(|error| FindError::Founding { address: address(), error })?;
        let network =
            Network::new(founding).map_err(|error| FindError::Network { address: address(), error })?;
        let said = self.get("/v1/status", MOST_STATUS_BYTES)?;
        let said: Said = serde_json::from_slice(&said)
            .map_err(|e| FindError::Answer { address: address(), problem: e.to_string() })?;
        let account = said.relay.parse::<AccountId>();
        let account =
            account.map_err(|e| FindError::Answer { address: address(), problem: e.to_string() })?;
        if !network.committee(u64::MAX).members().iter().any(|member| member.account == account) {
            return Err(FindError::NotWitness { address: address(), account });
        }
        Ok(FoundRelay { address: address(), account, network: Arc::new(network) })
    }

    fn get(&self, path: &str, most_bytes: u64) -> Result<Vec<u8>, FindError> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER_IN)).build().new_agent();
        let answer = agent.get(self.http(path)).call();
        let body =
            answer.and_then(|mut answer| answer.body_mut().with_config().limit(most_bytes).read_to_vec());
        body.map_err(|e| FindError::Answer { address: self.clone(), problem: e.to_string() })
    }
}

/// Finds several relays of one network.
///
/// # Errors
/// [`FindError`], of the first that cannot be used.
pub fn find_all(addresses: &[RelayAddress]) -> Result<Vec<FoundRelay>, FindError> {
    let mut found: Vec<FoundRelay> = Vec::with_capacity(addresses.len());
    for address in addresses {
        let next = address.find()?;
        if found.first().is_some_and(|first| first.network.id() != next.network.id()) {
            return Err(FindError::OtherNetwork { address: address.clone() });
        }
        found.push(next);
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Said {
    relay: String,
}

const ANSWER_IN: Duration = Duration::from_secs(10);
const MOST_FOUNDING_BYTES: u64 = 1 << 20;
const MOST_STATUS_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_both_dialects() {
        let read = |text: &str| text.parse::<RelayAddress>().map(|address| address.socket());
        assert_eq!(read("ws://127.0.0.1:9000").as_deref(), Ok("ws://127.0.0.1:9000/v1/edge"));
        assert_eq!(read("https://relay.example/").as_deref(), Ok("wss://relay.example/v1/edge"));
        assert_eq!(read("http://[::1]:80").as_deref(), Ok("ws://[::1]:80/v1/edge"));
        for wrong in ["", "relay.example", "ftp://x", "ws://", "ws://a/b", "ws://user@host", "ws://a b"] {
            assert_eq!(read(wrong), Err(AddressError(wrong.into())), "{wrong}");
        }
    }

    #[test]
    fn nobody_there_is_said() {
        let address: RelayAddress = "ws://127.0.0.1:1".parse().expect("an address");
        let error = address.find().expect_err("nobody listens on port 1").to_string();
        assert!(error.starts_with("ws://127.0.0.1:1: "), "{error}");
    }
}
