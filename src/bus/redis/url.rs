//! The URL of a Redis, or of the sentinels that know it.

use std::{collections::HashMap, fs, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError, TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::time::timeout;
use url::Url;

use super::TIMEOUT;

/// The port of a sentinel without one.
const SENTINEL_PORT: u16 = 26_379;

/// The parameter with the file of the certificate authority, in place of the public ones.
const ROOT_CERTIFICATE: &str = "sslrootcert";
/// The parameters with the login of the sentinels themselves.
const SENTINEL_LOGIN: [&str; 2] = ["sentinel_user", "sentinel_password"];

/// A malformed URL. The text never holds the URL, as that may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

impl UrlError {
    fn new(reason: impl ToString) -> Self {
        Self(reason.to_string())
    }
}

/// A Redis to connect to.
#[derive(Clone)]
pub struct RedisUrl(Servers);

#[derive(Clone)]
enum Servers {
    /// One server, or a name that leads to the primary.
    One(Client),
    /// Sentinels that know the primary.
    Sentinels(Sentinels),
}

/// The addresses of sentinels, and the primary's settings.
#[derive(Clone)]
struct Sentinels {
    addresses: Vec<ConnectionAddr>,
    /// The name of the primary.
    name: String,
    login: RedisConnectionInfo,
    parameters: HashMap<String, String>,
    certificates: Option<TlsCertificates>,
}

impl RedisUrl {
    /// Parses `redis://`, `rediss://` (with TLS), or the same with `valkey`;
    /// `redis-sentinel://…,…/NAME` and `rediss-sentinel://…,…/NAME` name sentinels.
    ///
    /// # Errors
    ///
    /// When it is malformed, or its certificate cannot be read.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        match text.split_once("://") {
            Some(("redis" | "rediss" | "valkey" | "valkeys", _)) => one(text).map(Servers::One),
            Some(("redis-sentinel", rest)) => sentinels("redis", rest).map(Servers::Sentinels),
            Some(("rediss-sentinel", rest)) => sentinels("rediss", rest).map(Servers::Sentinels),
            _ => Err(UrlError::new(
                "must be `none`, or start with redis://, rediss://, redis-sentinel:// or rediss-sentinel://",
            )),
        }
        .map(Self)
    }

    /// Connects to the primary.
    ///
    /// # Errors
    ///
    /// The server's or the sentinels', or none of their answers in time.
    pub(super) async fn connect(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        // The limits are those around the calls.
        let config = config
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = async {
            let client = match &self.0 {
                Servers::One(client) => client.clone(),
                Servers::Sentinels(sentinels) => sentinels.client()?.async_get_client().await?,
            };
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        };
        let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        timeout(self.patience(), connecting)
            .await
            .unwrap_or_else(timed_out)
    }

    /// Returns the time limit of connecting: each sentinel may be away.
    fn patience(&self) -> Duration {
        match &self.0 {
            Servers::One(_) => TIMEOUT,
            Servers::Sentinels(sentinels) => {
                let count = u32::try_from(sentinels.addresses.len()).unwrap_or(u32::MAX);
                TIMEOUT.saturating_mul(count.saturating_add(1))
            }
        }
    }
}

impl Sentinels {
    fn client(&self) -> Result<SentinelClient, RedisError> {
        let primary = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(self.addresses.clone(), &self.name, primary)?
            .set_client_to_redis_db(self.login.db())
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_tcp_settings(tcp_settings());
        if let Some(user) = self.login.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = self.login.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        let [user, password] = SENTINEL_LOGIN.map(|name| self.parameters.get(name));
        if let Some(user) = user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let ConnectionAddr::TcpTls { insecure, .. } = self.addresses[0] {
            let mode = if insecure {
                TlsMode::Insecure
            } else {
                TlsMode::Secure
            };
            builder = builder.set_client_to_redis_tls_mode(mode);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        builder.build()
    }
}

fn one(text: &str) -> Result<Client, UrlError> {
    let mut url = Url::parse(text).map_err(UrlError::new)?;
    let parameters = take_parameters(&mut url, &[ROOT_CERTIFICATE])?;
    let info = connection_info(url)?;
    match certificates(&parameters)? {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
    .map_err(UrlError::new)
}

/// Parses `[USER:PASSWORD@]HOST[:PORT][,…]/NAME[/DATABASE]`, where the login is that of the Redis
/// servers.
fn sentinels(scheme: &str, rest: &str) -> Result<Sentinels, UrlError> {
    let (hosts, path) = rest
        .split_once('/')
        .ok_or_else(|| UrlError::new("a name of the primary is missing: …/NAME"))?;
    let (login, hosts) = match hosts.rsplit_once('@') {
        Some((login, hosts)) => (format!("{login}@"), hosts),
        None => (String::new(), hosts),
    };
    let mut parameters = HashMap::new();
    let (mut addresses, mut logins, mut names) = (vec![], vec![], vec![]);
    for host in hosts.split(',') {
        let text = format!("{scheme}://{login}{host}/{path}");
        let mut url = Url::parse(&text).map_err(UrlError::new)?;
        let [user, password] = SENTINEL_LOGIN;
        parameters = take_parameters(&mut url, &[ROOT_CERTIFICATE, user, password])?;
        names.push(take_name(&mut url)?);
        if url.port().is_none() {
            url.set_port(Some(SENTINEL_PORT))
                .map_err(|()| UrlError::new("a sentinel has no host"))?;
        }
        let info = connection_info(url)?;
        addresses.push(info.addr().clone());
        logins.push(info.redis_settings().clone());
    }
    Ok(Sentinels {
        addresses,
        name: names.swap_remove(0),
        login: logins.swap_remove(0),
        certificates: certificates(&parameters)?,
        parameters,
    })
}

/// Takes the first part of a path, the name of the primary.
fn take_name(url: &mut Url) -> Result<String, UrlError> {
    let path = url.path().trim_start_matches('/').to_owned();
    let (name, database) = path.split_once('/').unwrap_or((&path, ""));
    if name.is_empty() {
        return Err(UrlError::new("a name of the primary is missing: …/NAME"));
    }
    url.set_path(database);
    Ok(name.to_owned())
}

fn connection_info(url: Url) -> Result<ConnectionInfo, UrlError> {
    let info = url.into_connection_info().map_err(UrlError::new)?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name();
    Ok(info
        .set_redis_settings(settings)
        .set_tcp_settings(tcp_settings()))
}

/// Reports are small and urgent.
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Takes the parameters. An unknown one is refused without its name, which may be a part of a
/// password.
fn take_parameters(url: &mut Url, known: &[&str]) -> Result<HashMap<String, String>, UrlError> {
    let parameters: HashMap<_, _> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    if parameters.keys().all(|name| known.contains(&name.as_str())) {
        Ok(parameters)
    } else {
        let known = known.join(", ");
        Err(UrlError(format!("the only parameters are {known}")))
    }
}

fn certificates(parameters: &HashMap<String, String>) -> Result<Option<TlsCertificates>, UrlError> {
    let Some(file) = parameters.get(ROOT_CERTIFICATE) else {
        return Ok(None);
    };
    let root_cert = fs::read(file)
        .map_err(|error| UrlError(format!("{ROOT_CERTIFICATE} {file:?}: {error}")))?;
    Ok(Some(TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinels_of(text: &str) -> Sentinels {
        match RedisUrl::parse(text).unwrap().0 {
            Servers::Sentinels(sentinels) => sentinels,
            Servers::One(_) => panic!("{text}"),
        }
    }

    #[test]
    fn a_url_names_one_server_or_sentinels() {
        for text in [
            "redis://host",
            "redis://:secret@host:1/2",
            "valkey://ann:secret@[::1]",
            "rediss://host/#insecure",
            "valkeys://host:6380",
        ] {
            let Servers::One(client) = RedisUrl::parse(text).unwrap().0 else {
                panic!("{text}");
            };
            let settings = client.get_connection_info().redis_settings();
            assert_eq!(settings.protocol(), ProtocolVersion::RESP3, "{text}");
        }
        let found = sentinels_of("redis-sentinel://ann:a%2Fb@one,two:7000/main/3");
        let addresses = ["one:26379", "two:7000"];
        assert_eq!(
            found
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            addresses
        );
        assert_eq!(found.name, "main");
        assert_eq!(found.login.password(), Some("a/b"));
        assert_eq!(found.login.db(), 3);
        assert!(found.client().is_ok());
        let encrypted = sentinels_of("rediss-sentinel://one/main#insecure");
        assert!(encrypted.client().is_ok());
        assert!(matches!(
            encrypted.addresses[0],
            ConnectionAddr::TcpTls { insecure: true, .. }
        ));
    }

    #[test]
    fn a_malformed_url_is_refused_without_its_password() {
        for text in [
            "nats://ann:hunter2@host",
            "redis-cluster://ann:hunter2@host",
            "redis://ann:hunter2@host:port",
            "redis://ann:hunter2@host/database",
            "redis://ann:hun/ter2@host",
            "redis://ann:hunter2@host?protocol=2",
            "redis://ann?hunter2@host",
            "redis://host?sentinel_password=hunter2",
            "rediss://ann:hunter2@host?sslrootcert=/not/there",
            "redis://ann:hunter2@host?sslrootcert=Cargo.toml",
            "redis-sentinel://ann:hunter2@host",
            "redis-sentinel://ann:hunter2@host/",
            "redis-sentinel://ann:hunter2@host,/main",
            "hunter2",
        ] {
            let error = RedisUrl::parse(text).err().unwrap().to_string();
            assert!(!error.contains("ter2"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
