//! The options that are refused, and the words of the refusal.

use super::run;
use lowband_sidecar::envoy::{self, CERTIFICATE_YAML, ENVOY_YAML, Options};

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
fn a_port_that_is_none_is_not_said_to_be_taken_by_another() {
    // 9901 is the other one's default.
    for ports in
        [["--public-port", "9901", "--admin-port", "70000"], ["--admin-port", "8008", "--public-port", "0"]]
    {
        let (status, _, errors) = run(&ports);
        assert_eq!((status, errors.len()), (2, 1), "{errors:?}");
    }
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
