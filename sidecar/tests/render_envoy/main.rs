//! What `lowband-sidecar render-envoy` writes and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use lowband_sidecar::envoy::{CERTIFICATE_YAML, ENVOY_YAML, Options, render};
use std::process::{Command, Output};

mod installing;
mod mistakes;

fn run_with(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowband-sidecar"));
    command.arg("render-envoy").args(arguments).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

/// Runs the command: (status, standard output, lines of the error output).
fn run(arguments: &[&str]) -> (i32, String, Vec<String>) {
    let output = run_with(&[], arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    let errors = errors.lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), errors)
}

/// Returns the lines that were removed and those that came in their place, without their surroundings.
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

/// Returns the new lines of the file that names certificate and key.
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
    let arguments = "--public-port 8008 --public-address :: --admin-port 9901 --wasm target/lowband-filter.wasm \
        --homeserver http://127.0.0.1:8018 --dtls-port 8008";
    let arguments: Vec<_> = arguments.split_ascii_whitespace().collect();
    assert_eq!(run(&arguments), (0, ENVOY_YAML.to_owned(), vec![]));
    // Each help text as one line: where a sentence is broken does not matter.
    let help = run(&["--help"]).1.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
    for pair in arguments.chunks(2).filter(|pair| pair[0] != "--dtls-port") {
        let (_, of_flag) = help.split_once(&format!(" {} <", pair[0])).unwrap();
        let (of_flag, _) = of_flag.split_once(" --").unwrap_or((of_flag, ""));
        assert!(of_flag.contains(&format!("Default: {}", pair[1])), "{of_flag}");
    }
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
            r#"address: { socket_address: { address: "::", port_value: 9008, ipv4_compat: true } }"#,
            r#"value: '{"trusted": false, "default_key_table": "none", "advertise": {"dtls_port": 9008}}'"#,
            "#       - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9902 } } }",
        ]
    );
}

#[test]
fn where_there_is_no_ipv6_the_public_port_is_bound_to_ipv4_unless_an_address_is_given() {
    let address = |given: Option<&str>, has_ipv6| {
        let options = Options { public_address: given.map(str::to_owned), ..Options::default() };
        let text = render(ENVOY_YAML, &options.for_machine(has_ipv6)).unwrap();
        let (_, public) = text.split_once("  - name: public\n").unwrap();
        public.lines().find(|line| line.trim_start().starts_with("address: ")).unwrap().trim().to_owned()
    };
    let both = r#"address: { socket_address: { address: "::", port_value: 8008, ipv4_compat: true } }"#;
    let ipv4 = "address: { socket_address: { address: 0.0.0.0, port_value: 8008 } }";
    assert_eq!([address(None, true), address(None, false)], [both, ipv4]);
    assert_eq!(address(Some("::"), false), both);
}

#[test]
fn statistics_have_a_port_of_their_own_when_they_are_given_one() {
    for (address, bound, more) in
        [("0.0.0.0:9465", "0.0.0.0", ""), ("[::]:9465", "\"::\"", ", ipv4_compat: true")]
    {
        let (gone, new) = changes(&["--metrics", address, "--admin-port", "9902"]);
        assert!(gone.iter().skip(1).all(|line| line.starts_with("# ")), "{gone:?}");
        assert!(new.contains(&format!(
            "address: {{ socket_address: {{ address: {bound}, port_value: 9465{more} }} }}"
        )));
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
