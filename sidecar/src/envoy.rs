//! The configuration of Envoy: the `envoy.yaml` of this project and the `envoy-certificate.yaml` beside it,
//! rewritten for other ports, folders and homeservers.
//!
//! Plain replacement of text, without a YAML library: each value is found by the exact words around it, as
//! often as it has to be there, so that comments and order stay. Where a file has changed and a value is not
//! found, nothing is written. Without options the text is the file itself, byte for byte.

use crate::config::Mistake;
use clap::Args;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

pub mod drain;
mod template;
mod values;

use template::Template;
use values::Homeserver;
pub(crate) use values::port_or_off;

/// `envoy.yaml` as it was when this program was built.
pub const ENVOY_YAML: &str = include_str!("../../envoy.yaml");

/// `envoy-certificate.yaml` as it was when this program was built: it names certificate and key.
pub const CERTIFICATE_YAML: &str = include_str!("../../envoy-certificate.yaml");

/// The words at the head of `envoy.yaml` that say how it is used.
const HOW_TO_START: &str = "From the checkout, once the filter is built and run/\n# holds a certificate:\n#\n#   envoy -c envoy.yaml\n";

const PUBLIC_PORT: u16 = 8008;
const ADMIN_PORT: u16 = 9901;
const MAX_HEAP: u64 = 2 << 30;

/// The names of the files that [`write`] puts into a folder.
const CONFIGURATION: &str = "envoy.yaml";
const CERTIFICATE: &str = "envoy-certificate.yaml";
const FILTER: &str = "lowband-filter.wasm";

/// What can be set. What is not given stays as it is in `envoy.yaml`.
#[derive(Args, Debug, Clone, Default)]
pub struct Options {
    /// Where the homeserver is: http or https, host and port. https is verified, and with a name the
    /// Host field follows. Default: `http://127.0.0.1:8018`.
    #[arg(long, env = "LOWBAND_HOMESERVER", value_name = "URL")]
    pub homeserver: Option<String>,
    /// Who may vouch for an https homeserver, in PEM form, as Envoy finds it. Default:
    /// /etc/ssl/certs/ca-certificates.crt.
    #[arg(long, env = "LOWBAND_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<String>,
    /// What clients shall take for the homeserver: replaces base_url in discovery and login. With a wrong one
    /// no user can log in.
    #[arg(long, env = "LOWBAND_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,
    /// UDP port that /versions names to clients, where it is not the public port, as behind a load balancer.
    /// A wrong one costs each client its attempts before it falls back to HTTPS. Default: the public port.
    #[arg(long, env = "LOWBAND_DTLS_PORT", value_name = "PORT")]
    pub dtls_port: Option<String>,
    /// TCP port for clients; the sidecar's UDP port has the same number. Default: 8008.
    #[arg(long, env = "LOWBAND_PUBLIC_PORT", value_name = "PORT")]
    pub public_port: Option<String>,
    /// Address that the port is bound to; :: takes IPv4 as well, and needs a system with IPv6. Default: ::,
    /// or 0.0.0.0 where this machine has no IPv6.
    #[arg(long, env = "LOWBAND_PUBLIC_ADDRESS", value_name = "IP")]
    pub public_address: Option<String>,
    /// Port of Envoy's administration, on 127.0.0.1. Default: 9901.
    #[arg(long, env = "LOWBAND_ENVOY_ADMIN_PORT", value_name = "PORT")]
    pub admin_port: Option<String>,
    /// Address and port at which Prometheus finds Envoy's statistics, with the filter's among them: /metrics,
    /// and nothing else of the administration. There is no password: keep it from the outside. Default: none.
    #[arg(long, env = "LOWBAND_ENVOY_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<String>,
    /// Memory of Envoy in bytes, without that of the filter's machines, some 100 MiB: nearer than a tenth to
    /// it strangers are refused, while the sidecar is served. Default: 2147483648 (2 GiB).
    #[arg(long, env = "LOWBAND_ENVOY_MAX_HEAP", value_name = "BYTES")]
    pub max_heap: Option<String>,
    /// Folder of envoy.sock, certificate.pem and key.pem, and of envoy-certificate.yaml, by which Envoy finds
    /// those two and without which it does not start. Default: the folder of --install, else run for the
    /// first three and the folder in which Envoy starts for the last.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<String>,
    /// Certificate chain in PEM form, as Envoy finds it; else certificate.pem of the folder.
    #[arg(long, env = "LOWBAND_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<String>,
    /// Private key of the certificate; else key.pem of the folder.
    #[arg(long, env = "LOWBAND_KEY", value_name = "FILE")]
    pub key: Option<String>,
    /// File of the filter. Default: target/lowband-filter.wasm, with --install lowband-filter.wasm.
    #[arg(long, value_name = "FILE")]
    pub wasm: Option<String>,
    /// Puts envoy.yaml, envoy-certificate.yaml and a copy of the filter into this folder, in place of
    /// standard output, for an Envoy that may see nothing else; envoy.sock will be there too.
    #[arg(long, value_name = "FOLDER", conflicts_with = "only_certificate")]
    pub install: Option<String>,
    /// Writes envoy-certificate.yaml to standard output in place of envoy.yaml.
    #[arg(long)]
    pub only_certificate: bool,
}

/// The checked values of the options.
#[derive(Debug, Default)]
struct Values {
    homeserver: Option<Homeserver>,
    ca_file: Option<String>,
    base_url: Option<String>,
    dtls_port: Option<u16>,
    public_port: Option<u16>,
    public_address: Option<String>,
    admin_port: Option<u16>,
    metrics: Option<SocketAddr>,
    max_heap: Option<u64>,
    socket: Option<String>,
    secret: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    wasm: Option<String>,
    /// The file that Envoy is started with, where it is known.
    file: Option<String>,
}

/// Why no file was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options with values that are not accepted, in their order.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Options(Vec<Mistake>),
    /// A value is not where this program looks for it.
    #[error("{0}")]
    Template(String),
    /// A file cannot be read or written: what was tried, with its name.
    #[error("cannot {0}: {1}")]
    File(String, #[source] io::Error),
}

/// Renders `template` with the values of the options; all mistakes are reported together.
pub fn render(template: &str, options: &Options) -> Result<String, Error> {
    let values = options.check().map_err(Error::Options)?;
    values.put_into(Template::new(CONFIGURATION, template)).map_err(Error::Template)
}

/// Renders `envoy-certificate.yaml` with the values of the options, as [`render`] does for `envoy.yaml`.
pub fn render_certificate(template: &str, options: &Options) -> Result<String, Error> {
    let values = options.check().map_err(Error::Options)?;
    values.put_into_certificate(Template::new(CERTIFICATE, template)).map_err(Error::Template)
}

/// Renders one of the files to standard output, or all into the folder of `--install`.
pub fn write(options: &Options) -> Result<(), Error> {
    let options = &options.for_machine(has_ipv6());
    let text = render(ENVOY_YAML, options)?;
    let certificate = render_certificate(CERTIFICATE_YAML, options)?;
    let Some(folder) = &options.install else {
        let text = if options.only_certificate { certificate } else { text };
        let written = io::stdout().lock().write_all(text.as_bytes());
        return written.map_err(|why| Error::File("write to standard output".to_owned(), why));
    };
    let source = options.wasm.as_deref().unwrap_or(FILTER);
    let filter = std::fs::read(source).map_err(|why| Error::File(format!("read {source:?}"), why))?;
    let folder = Path::new(folder);
    put(&folder.join(FILTER), &filter)?;
    put(&folder.join(CERTIFICATE), certificate.as_bytes())?;
    put(&folder.join(CONFIGURATION), text.as_bytes())
}

/// Returns whether a socket can be bound to all addresses of IPv6, as the sidecar finds out for its own.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// Writes a file so that under its name it is either whole or absent.
fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    let unfinished = path.with_extension("new");
    // Left by a run that was interrupted; or a link to elsewhere, which is not followed.
    let _not_there = std::fs::remove_file(&unfinished);
    let written = File::create_new(&unfinished)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| std::fs::rename(&unfinished, path));
    written.map_err(|why| {
        let _not_there = std::fs::remove_file(&unfinished);
        Error::File(format!("write {path:?}"), why)
    })
}

impl Options {
    /// Returns the options with an address for the public port that the machine can bind: Envoy does not
    /// start with one of IPv6 where there is none.
    pub fn for_machine(&self, has_ipv6: bool) -> Options {
        let address = self.public_address.clone();
        Options {
            public_address: address.or_else(|| (!has_ipv6).then(|| Ipv4Addr::UNSPECIFIED.to_string())),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<Values, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        macro_rules! take {
            ($option:literal, $field:ident, $parse:expr) => {
                self.$field.as_deref().and_then(|given| match $parse(given) {
                    Ok(value) => Some(value),
                    Err(why) => {
                        mistakes.push(Mistake { option: $option, why: format!("{given:?} {why}") });
                        None
                    }
                })
            };
        }
        let homeserver = take!("--homeserver", homeserver, Homeserver::parse);
        let ca_file = take!("--ca-file", ca_file, values::path);
        let base_url = take!("--base-url", base_url, values::base_url);
        let dtls_port = take!("--dtls-port", dtls_port, values::port);
        let public_port = take!("--public-port", public_port, values::port);
        let public_address = take!("--public-address", public_address, values::address);
        let admin_port = take!("--admin-port", admin_port, values::port);
        let metrics = take!("--metrics", metrics, values::address_and_port);
        let max_heap = take!("--max-heap", max_heap, values::heap);
        let dir = take!("--dir", dir, values::folder);
        let certificate = take!("--certificate", certificate, values::path);
        let key = take!("--key", key, values::path);
        let wasm = take!("--wasm", wasm, values::path);
        let install = take!("--install", install, values::folder);
        if ca_file.is_some() && mistakes.is_empty() && !homeserver.as_ref().is_some_and(|server| server.tls) {
            mistakes.push(Mistake {
                option: "--ca-file",
                why: "goes only with --homeserver https://...".to_owned(),
            });
        }
        // What is not a port is no other port's twin.
        let is_port = |option: &str| !mistakes.iter().any(|mistake| mistake.option == option);
        let public = is_port("--public-port").then(|| public_port.unwrap_or(PUBLIC_PORT));
        let admin = is_port("--admin-port").then(|| admin_port.unwrap_or(ADMIN_PORT));
        if let Some(port) = public.filter(|port| admin == Some(*port)) {
            let why = format!("{port} is the public port as well");
            mistakes.push(Mistake { option: "--admin-port", why });
        }
        if metrics.is_some_and(|metrics: SocketAddr| [public, admin].contains(&Some(metrics.port()))) {
            let why = "is the public port or that of the administration as well".to_owned();
            mistakes.push(Mistake { option: "--metrics", why });
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let inside =
            |folder: &Option<String>, name: &str| folder.as_ref().map(|folder| format!("{folder}/{name}"));
        Ok(Values {
            homeserver,
            ca_file,
            base_url,
            dtls_port: dtls_port.or(public_port),
            public_port,
            public_address,
            admin_port,
            metrics,
            max_heap,
            socket: inside(&install, "envoy.sock").or(inside(&dir, "envoy.sock")),
            secret: inside(&install, CERTIFICATE).or(inside(&dir, CERTIFICATE)),
            certificate: certificate
                .or(inside(&dir, "certificate.pem"))
                .or(inside(&install, "certificate.pem")),
            key: key.or(inside(&dir, "key.pem")).or(inside(&install, "key.pem")),
            wasm: inside(&install, FILTER).or(wasm),
            file: inside(&install, CONFIGURATION),
        })
    }
}

impl Values {
    fn put_into(&self, mut text: Template) -> Result<String, String> {
        if let Some(file) = &self.file {
            let rendered = format!(
                "Written by `lowband-sidecar render-envoy`. Once certificate\n# and key are there:\n#\n#   envoy -c {file}\n"
            );
            text.replace(HOW_TO_START, &rendered, 1)?;
        }
        if let Some(port) = self.admin_port {
            text.replace(
                "address: 127.0.0.1, port_value: 9901 }",
                &format!("address: 127.0.0.1, port_value: {port} }}"),
                2,
            )?;
        }
        let listener = |address: &str, port: u16| {
            // Without this field Envoy keeps `::` to IPv6, whatever the system does.
            let compatible = if address == "::" { ", ipv4_compat: true" } else { "" };
            let address = template::scalar(address);
            format!("address: {{ socket_address: {{ address: {address}, port_value: {port}{compatible} }} }}")
        };
        if let Some(metrics) = self.metrics {
            text.uncomment("# - name: metrics\n", 26)?;
            text.uncomment("# - name: administration\n", 7)?;
            let new = listener(&metrics.ip().to_string(), metrics.port());
            text.replace(&listener("127.0.0.1", 9465), &new, 1)?;
        }
        let (address, port) =
            (self.public_address.as_deref().unwrap_or("::"), self.public_port.unwrap_or(PUBLIC_PORT));
        text.replace(&listener("::", PUBLIC_PORT), &listener(address, port), 1)?;
        if let Some(bytes) = self.max_heap {
            let heap = |bytes: u64| format!("max_heap_size_bytes: {bytes}\n");
            text.replace(&heap(MAX_HEAP), &heap(bytes), 1)?;
        }
        if let Some(port) = self.dtls_port {
            text.replace("\"dtls_port\": 8008", &format!("\"dtls_port\": {port}"), 2)?;
        }
        if let Some(url) = &self.base_url {
            // JSON inside a YAML text in single quotes; a URL that is accepted needs no escapes in either.
            text.replace("\"advertise\": {", &format!("\"advertise\": {{\"base_url\": \"{url}\", "), 2)?;
        }
        if let Some(path) = &self.socket {
            text.replace("path: run/envoy.sock,", &format!("path: {},", template::scalar(path)), 1)?;
        }
        if let Some(path) = &self.secret {
            text.replace(
                "path: ./envoy-certificate.yaml }",
                &format!("path: {} }}", template::scalar(path)),
                1,
            )?;
        }
        put_file(&mut text, "target/lowband-filter.wasm", self.wasm.as_deref())?;
        if let Some(homeserver) = &self.homeserver {
            put_homeserver(&mut text, homeserver, self.ca_file.as_deref())?;
        }
        Ok(text.into_text())
    }

    fn put_into_certificate(&self, mut text: Template) -> Result<String, String> {
        put_file(&mut text, "run/certificate.pem", self.certificate.as_deref())?;
        put_file(&mut text, "run/key.pem", self.key.as_deref())?;
        Ok(text.into_text())
    }
}

fn put_file(text: &mut Template, old: &str, new: Option<&str>) -> Result<(), String> {
    match new {
        None => Ok(()),
        Some(path) => {
            let filename = |path: &str| format!("filename: {path} }}");
            text.replace(&filename(old), &filename(&template::scalar(path)), 1)
        }
    }
}

fn put_homeserver(text: &mut Template, homeserver: &Homeserver, ca_file: Option<&str>) -> Result<(), String> {
    let host = template::scalar(&homeserver.host);
    text.replace(
        "address: 127.0.0.1, port_value: 8018 }",
        &format!("address: {host}, port_value: {} }}", homeserver.port),
        1,
    )?;
    if homeserver.is_name {
        let authority = template::scalar(&homeserver.authority());
        let rewrite = format!("host_rewrite_literal: {authority}");
        text.replace("# host_rewrite_literal: matrix.example.org", &rewrite, 3)?;
    }
    if !homeserver.tls {
        return Ok(());
    }
    text.uncomment("# transport_socket:\n", 10)?;
    // An address is not a server name (RFC 6066 section 3), and its certificate names it as an address.
    let sni = if homeserver.is_name { format!("        sni: {host}\n") } else { String::new() };
    text.replace("        sni: matrix.example.org\n", &sni, 1)?;
    let kind = if homeserver.is_name { "DNS" } else { "IP_ADDRESS" };
    text.replace(
        "{ san_type: DNS, matcher: { exact: matrix.example.org } }",
        &format!("{{ san_type: {kind}, matcher: {{ exact: {host} }} }}"),
        1,
    )?;
    if let Some(file) = ca_file {
        text.replace(
            "filename: /etc/ssl/certs/ca-certificates.crt }",
            &format!("filename: {} }}", template::scalar(file)),
            1,
        )?;
    }
    Ok(())
}
