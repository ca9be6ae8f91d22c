//! `--install`: files in place of standard output.

use super::{differences, differences_from, run};
use lowband_sidecar::envoy::CERTIFICATE_YAML;
use std::path::PathBuf;

/// A folder of its own, removed at the end.
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
    // A second time, as after a restart of the pod's container, over the files that are there.
    for _ in 0..2 {
        assert_eq!(run(&arguments), (0, String::new(), vec![]));
    }
    assert_eq!(std::fs::read(shared.join("lowband-filter.wasm")).unwrap(), b"\0asm");
    let (_, new) = differences(&std::fs::read_to_string(shared.join("envoy.yaml")).unwrap());
    assert_eq!(
        new,
        [
            "# Envoy between the clients and the homeserver. Written by `lowband-sidecar render-envoy`. Once certificate"
                .to_owned(),
            "# and key are there:".to_owned(),
            format!("#   envoy -c {shared_text}/envoy.yaml"),
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
    // Unless the options say otherwise, certificate and key are expected in this folder as well.
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
