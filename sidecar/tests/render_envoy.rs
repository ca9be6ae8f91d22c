//! What `lowband-sidecar render-envoy` writes and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use lowband_sidecar::envoy::{self, CERTIFICATE_YAML, ENVOY_YAML, Options};
use std::path::PathBuf;
use std::process::{Command, Output};

fn run_with(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowband-sidecar"));
    command.arg("render-envoy").args(arguments).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

/// (status, standard output, lines of the error output)
fn run(arguments: &[&str]) -> (i32, String, Vec<String>) {
    let output = run_with(&[], arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    let errors = errors.lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), errors)
}

/// The lines that were taken away and those that came in their place, without what surrounds them.
fn differences(text: &str) -> (Vec<String>, Vec<String>) {
    differences_from(ENVOY_YAML, text)
}

fn differences_from(original: &str, text: &str) -> (Vec<String>, Vec<String>) {
    let left_over = |lines: &str, others: &str| {
        let mut others: Vec<&str> = others.lines().collect();
        let mut is_new = |line: &&str| match others.iter().position(|other| other == line) {
            Some(same) => {
                others.remove(same);
                false
            }
            None => true,
        };
        lines.lines().filter(|line| is_new(line)).map(|line| line.trim().to_owned()).collect()
    };
    (left_over(original, text), left_over(text, original))
}

fn changes(arguments: &[&str]) -> (Vec<String>, Vec<String>) {
    let (status, text, errors) = run(arguments);
    assert_eq!((status, errors), (0, vec![]));
    differences(&text)
}

/// The new lines of the file that names certificate and key.
fn certificate_changes(environment: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
    let output = run_with(environment, &[arguments, &["--only-certificate"]].concat());
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
    differences_from(CERTIFICATE_YAML, &String::from_utf8(output.stdout).unwrap()).1
}

#[test]
fn without_options_each_is_the_file_itself() {
    assert_eq!(run(&[]), (0, ENVOY_YAML.to_owned(), vec![]));
    assert_eq!(run(&["--only-certificate"]), (0, CERTIFICATE_YAML.to_owned(), vec![]));
}

#[test]
fn the_defaults_spelled_out_are_the_file_itself() {
    let arguments = "--public-port 8008 --public-address 0.0.0.0 --admin-port 9901 --wasm target/lowband-filter.wasm \
        --homeserver http://127.0.0.1:8018 --dtls-port 8008";
    let arguments: Vec<_> = arguments.split_ascii_whitespace().collect();
    assert_eq!(run(&arguments), (0, ENVOY_YAML.to_owned(), vec![]));
    assert_eq!(run(&["--dir", "run", "--only-certificate"]), (0, CERTIFICATE_YAML.to_owned(), vec![]));
    let (_, new) = changes(&["--dir", "run"]);
    assert_eq!(new, ["sds_config: { path_config_source: { path: run/envoy-certificate.yaml } }"]);
}

#[test]
fn ports_and_addresses() {
    let (gone, new) = changes(&["--public-port", "9008", "--public-address", "::", "--admin-port", "9902"]);
    assert_eq!(gone.len(), 5);
    assert_eq!(
        new,
        [
            "address: { socket_address: { address: 127.0.0.1, port_value: 9902 } }",
            r#"value: '{"trusted": true, "default_key_table": "v1", "advertise": {"dtls_port": 9008}}'"#,
            r#"address: { socket_address: { address: "::", port_value: 9008 } }"#,
            r#"value: '{"trusted": false, "default_key_table": "none", "advertise": {"dtls_port": 9008}}'"#,
            "#       - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9902 } } }",
        ]
    );
}

#[test]
fn statistics_have_a_port_of_their_own_when_they_are_given_one() {
    for (address, bound) in [("0.0.0.0:9465", "0.0.0.0"), ("[::]:9465", "\"::\"")] {
        let (gone, new) = changes(&["--metrics", address, "--admin-port", "9902"]);
        assert!(gone.iter().skip(1).all(|line| line.starts_with("# ")), "{gone:?}");
        assert!(
            new.contains(&format!("address: {{ socket_address: {{ address: {bound}, port_value: 9465 }} }}"))
        );
        assert!(
            new.contains(&"- name: metrics".to_owned()) && new.contains(&"- name: administration".to_owned())
        );
        let to_admin =
            "- endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9902 } } }";
        assert!(new.contains(&to_admin.to_owned()), "{new:?}");
        assert_eq!(new.len(), gone.len());
    }
    for taken in ["0.0.0.0:8008", "0.0.0.0:9901"] {
        assert_eq!(run(&["--metrics", taken]).0, 2, "{taken}");
    }
}

#[test]
fn the_memory_of_envoy_is_what_its_machine_has() {
    let (gone, new) = changes(&["--max-heap", "335544320"]);
    assert_eq!(
        (gone, new),
        (
            vec!["max_heap_size_bytes: 2147483648".to_owned()],
            vec!["max_heap_size_bytes: 335544320".to_owned()]
        )
    );
    for wrong in ["0", "67108863", "512Mi", "-1", "+67108864", ""] {
        assert_eq!(run(&["--max-heap", wrong]).0, 2, "{wrong}");
    }
}

#[test]
fn what_is_advertised_is_what_clients_reach_and_not_what_is_bound() {
    for base_url in ["https://lb.example.org", "https://lb.example.org:8448/", "http://[2001:db8::1]:80"] {
        let (_, new) = changes(&["--public-port", "9008", "--dtls-port", "443", "--base-url", base_url]);
        let advertised = format!(r#""advertise": {{"base_url": "{base_url}", "dtls_port": 443}}}}'"#);
        let filters = new.iter().filter(|line| line.starts_with("value: '"));
        assert_eq!(filters.filter(|line| line.ends_with(&advertised)).count(), 2, "{new:?}");
    }
}

#[test]
fn a_base_url_is_a_scheme_and_a_host() {
    for url in [
        "",
        "x",
        "https://",
        "https:///x",
        "https://a'b",
        "https://a\"b",
        "https://a b",
        "https://u@h",
        "https://a?b",
        "ftp://a",
    ] {
        let (status, out, errors) = run(&["--base-url", url]);
        assert_eq!((status, out.as_str(), errors.len()), (2, "", 1), "{url}");
    }
}

#[test]
fn a_folder_with_odd_characters_is_quoted() {
    let folder = ["--dir", r#"/srv/a "b": c/"#];
    let (_, new) = changes(&[folder.as_slice(), &["--wasm", "/x/y.wasm"]].concat());
    assert_eq!(
        new,
        [
            r#"address: { pipe: { path: "/srv/a \"b\": c/envoy.sock", mode: 384 } }"#,
            "code: &filter { local: { filename: /x/y.wasm } }",
            r#"sds_config: { path_config_source: { path: "/srv/a \"b\": c/envoy-certificate.yaml" } }"#,
        ]
    );
    assert_eq!(
        certificate_changes(&[], &folder),
        [
            r#"certificate_chain: { filename: "/srv/a \"b\": c/certificate.pem" }"#,
            r#"private_key: { filename: "/srv/a \"b\": c/key.pem" }"#,
        ]
    );
}

#[test]
fn certificate_and_key_may_lie_elsewhere_and_their_variables_are_the_sidecars() {
    let files = ["--certificate", "/tls/tls.crt", "--key", "/tls/tls.key"];
    let new = certificate_changes(&[], &[["--dir", "/run/lowband"].as_slice(), &files].concat());
    assert_eq!(
        new,
        ["certificate_chain: { filename: /tls/tls.crt }", "private_key: { filename: /tls/tls.key }"]
    );
    let environment =
        [("LOWBAND_CERTIFICATE", "/tls/tls.crt"), ("LOWBAND_KEY", "/tls/tls.key"), ("LOWBAND_LISTEN", "x")];
    assert_eq!(certificate_changes(&environment, &["--dir", "/run/lowband"]), new);
}

#[test]
fn a_homeserver_by_address_and_without_tls_keeps_the_host_field_of_the_clients() {
    let (_, new) = changes(&["--homeserver", "http://192.0.2.1"]);
    assert_eq!(new, ["- endpoint: { address: { socket_address: { address: 192.0.2.1, port_value: 80 } } }"]);
}

#[test]
fn a_homeserver_by_name_and_without_tls_gets_its_host_field() {
    let (_, new) = changes(&["--homeserver", "http://synapse:8008/"]);
    let rewrite = "host_rewrite_literal: \"synapse:8008\"";
    let endpoint = "- endpoint: { address: { socket_address: { address: synapse, port_value: 8008 } } }";
    assert_eq!(new, [rewrite, rewrite, rewrite, endpoint]);
}

#[test]
fn a_homeserver_behind_https_is_verified_by_its_name() {
    let (gone, new) = changes(&["--homeserver", "https://Matrix.example.com", "--ca-file", "/etc/ca.pem"]);
    assert_eq!(
        new,
        [
            "host_rewrite_literal: matrix.example.com",
            "host_rewrite_literal: matrix.example.com",
            "host_rewrite_literal: matrix.example.com",
            "- endpoint: { address: { socket_address: { address: matrix.example.com, port_value: 443 } } }",
            "transport_socket:",
            "name: envoy.transport_sockets.tls",
            "typed_config:",
            r#""@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"#,
            "sni: matrix.example.com",
            "common_tls_context:",
            "validation_context:",
            "trusted_ca: { filename: /etc/ca.pem }",
            "match_typed_subject_alt_names:",
            "- { san_type: DNS, matcher: { exact: matrix.example.com } }",
        ]
    );
    assert!(gone.iter().all(|line| line.starts_with("# ") || line.starts_with("- endpoint")), "{gone:?}");
}

#[test]
fn an_address_behind_https_is_verified_as_an_address_and_has_no_server_name() {
    let (_, new) = changes(&["--homeserver", "https://[2001:db8::1]:8448"]);
    assert!(
        new.contains(&r#"- { san_type: IP_ADDRESS, matcher: { exact: "2001:db8::1" } }"#.to_owned()),
        "{new:?}"
    );
    assert!(!new.iter().any(|line| line.starts_with("sni") || line.starts_with("host_rewrite")), "{new:?}");
}

#[test]
fn all_mistakes_are_told_at_once_in_one_line_each_and_nothing_is_written() {
    let long = "/".to_owned() + &"d".repeat(100);
    let mistakes = [
        ("--homeserver", "ftp://h"),
        ("--ca-file", ""),
        ("--base-url", "x"),
        ("--dtls-port", "-"),
        ("--public-port", "0"),
        ("--public-address", "localhost"),
        ("--admin-port", "x"),
        ("--metrics", "9465"),
        ("--max-heap", "1"),
        ("--dir", long.as_str()),
        ("--certificate", ""),
        ("--key", "a\nb"),
        ("--wasm", ""),
        ("--install", long.as_str()),
    ];
    let arguments: Vec<String> = mistakes.iter().map(|(option, value)| format!("{option}={value}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (status, out, errors) = run(&arguments);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(errors.len(), mistakes.len(), "{errors:?}");
    for (line, (option, _)) in errors.iter().zip(mistakes) {
        assert!(line.starts_with(&format!("lowband-sidecar: {option} ")), "{line}");
    }
}

#[test]
fn urls_that_are_more_or_less_than_scheme_host_and_port() {
    for url in [
        "matrix.example.org",
        "https://",
        "https://h/_matrix",
        "https://h?x",
        "https://h/?",
        "https://h#f",
        "https://u@h",
        "https://h:0",
        "https://h:65536",
        "https://h:x",
        "https://-h",
        "https://a..b",
        "https://[::1",
        "https://a b",
    ] {
        let (status, out, errors) = run(&["--homeserver", url]);
        assert_eq!((status, out.as_str(), errors.len()), (2, "", 1), "{url}");
    }
}

#[test]
fn a_socket_path_may_have_107_bytes() {
    let longest = "/".to_owned() + &"d".repeat(107 - "//envoy.sock".len());
    for option in ["--dir", "--install"] {
        let options = |folder: &str| match option {
            "--dir" => Options { dir: Some(folder.to_owned()), ..Options::default() },
            _ => Options { install: Some(folder.to_owned()), ..Options::default() },
        };
        assert!(envoy::render(ENVOY_YAML, &options(&longest)).is_ok());
        assert!(envoy::render(ENVOY_YAML, &options(&(longest.clone() + "d"))).is_err());
    }
}

#[test]
fn an_authority_without_https_is_a_mistake() {
    assert_eq!(run(&["--ca-file", "ca.pem"]).0, 2);
    assert_eq!(run(&["--ca-file", "ca.pem", "--homeserver", "http://h"]).0, 2);
}

#[test]
fn one_port_for_two_things_is_a_mistake() {
    for ports in [
        &["--public-port", "9902", "--admin-port", "9902"][..],
        &["--public-port", "9901"],
        &["--admin-port", "8008"],
    ] {
        assert_eq!(run(ports).0, 2, "{ports:?}");
    }
}

#[test]
fn a_template_that_has_changed_is_told_and_nothing_is_rendered() {
    let some = |text: &str| Some(text.to_owned());
    let none = Options::default();
    for (old, options) in [
        ("port_value: 8008", none.clone()),
        ("port_value: 9901", Options { admin_port: some("1"), ..none.clone() }),
        ("# - name: metrics", Options { metrics: some("0.0.0.0:1"), ..none.clone() }),
        ("  #   load_assignment", Options { metrics: some("0.0.0.0:1"), ..none.clone() }),
        ("max_heap_size_bytes", Options { max_heap: some("67108864"), ..none.clone() }),
        ("./envoy-certificate.yaml", Options { dir: some("x"), ..none.clone() }),
        ("filename: target/", Options { wasm: some("x"), ..none.clone() }),
        ("port_value: 8018", Options { homeserver: some("http://h"), ..none.clone() }),
        ("# host_rewrite_literal", Options { homeserver: some("http://h"), ..none.clone() }),
        ("    # transport_socket", Options { homeserver: some("https://h"), ..none.clone() }),
        ("    #         - { san_type", Options { homeserver: some("https://h"), ..none.clone() }),
    ] {
        assert!(envoy::render(ENVOY_YAML, &options).is_ok(), "{old}");
        let changed = ENVOY_YAML.replacen(old, "changed", 1);
        assert!(matches!(envoy::render(&changed, &options), Err(envoy::Error::Template(_))), "{old}");
    }
    for old in ["run/certificate.pem", "run/key.pem"] {
        let (changed, options) =
            (CERTIFICATE_YAML.replacen(old, "changed", 1), Options { dir: some("x"), ..none.clone() });
        let Err(envoy::Error::Template(told)) = envoy::render_certificate(&changed, &options) else {
            panic!()
        };
        assert!(told.starts_with("envoy-certificate.yaml: "), "{told}");
    }
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("lowband-render-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn installing_puts_the_configuration_and_the_filter_where_the_other_container_sees_them() {
    let folder = Folder::new("install");
    let (source, shared) = (folder.0.join("filter.wasm"), folder.0.join("shared"));
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(&source, b"\0asm").unwrap();
    let (source, shared_text) = (source.to_str().unwrap(), shared.to_str().unwrap());
    let arguments = [
        "--install",
        shared_text,
        "--wasm",
        source,
        "--certificate",
        "/tls/tls.crt",
        "--key",
        "/tls/tls.key",
    ];
    // Again, as after a restart of the pod's container, over what is there.
    for _ in 0..2 {
        assert_eq!(run(&arguments), (0, String::new(), vec![]));
    }
    assert_eq!(std::fs::read(shared.join("lowband-filter.wasm")).unwrap(), b"\0asm");
    let (_, new) = differences(&std::fs::read_to_string(shared.join("envoy.yaml")).unwrap());
    assert_eq!(
        new,
        [
            format!("address: {{ pipe: {{ path: {shared_text}/envoy.sock, mode: 384 }} }}"),
            format!("code: &filter {{ local: {{ filename: {shared_text}/lowband-filter.wasm }} }}"),
            format!("sds_config: {{ path_config_source: {{ path: {shared_text}/envoy-certificate.yaml }} }}"),
        ]
    );
    let certificate = std::fs::read_to_string(shared.join("envoy-certificate.yaml")).unwrap();
    assert_eq!(
        differences_from(CERTIFICATE_YAML, &certificate).1,
        ["certificate_chain: { filename: /tls/tls.crt }", "private_key: { filename: /tls/tls.key }"]
    );
    assert_eq!(std::fs::read_dir(&shared).unwrap().count(), 3);
    // Unless they are said to be elsewhere, they are expected there as well.
    assert_eq!(run(&arguments[..4]), (0, String::new(), vec![]));
    let certificate = std::fs::read_to_string(shared.join("envoy-certificate.yaml")).unwrap();
    assert!(certificate.contains(&format!("filename: {shared_text}/key.pem }}")), "{certificate}");
    assert_eq!(run(&["--install", shared_text, "--only-certificate"]).0, 2);
}

#[test]
fn a_folder_that_cannot_be_written_is_one_line_and_status_1() {
    let folder = Folder::new("readonly");
    let filter = folder.0.join("filter.wasm");
    std::fs::write(&filter, b"\0asm").unwrap();
    let filter = filter.to_str().unwrap();
    for arguments in
        [["--install", "/nonexistent", "--wasm", filter], ["--install", "/tmp", "--wasm", "/nonexistent"]]
    {
        let (status, out, errors) = run(&arguments);
        assert_eq!((status, out.as_str(), errors.len()), (1, "", 1), "{errors:?}");
        assert!(errors[0].contains("/nonexistent"), "{errors:?}");
    }
}
