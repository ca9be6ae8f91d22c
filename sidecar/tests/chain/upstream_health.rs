//! What an operator is told when requests cannot be passed on, and when they can be again.

use crate::client::Wire;
use crate::harness::{eventually, page, value};
use crate::process::Process;
use lowband_wire::coap::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

async fn ask(process: &Process, times: usize, code: Code) {
    let wire = Wire::connect(process.server()).await;
    for _ in 0..times {
        assert_eq!(wire.get("0").await.code, code);
    }
}

async fn is_up(process: &Process) -> f64 {
    value(&page(process.admin(), "/metrics").await.unwrap().1, "lowband_upstream_up")
}

/// Ends the process and returns the lines of its log that speak of the upstream's state.
async fn lines_of_state(process: &mut Process) -> Vec<String> {
    process.signal("TERM").await;
    let log = process.rest_of_log().await;
    log.lines().filter(|line| line.contains("the upstream can")).map(str::to_owned).collect()
}

/// Sends these bytes on each connection, and reads on until the other side ends it or, if so asked, not at
/// all.
fn answer_all(listener: UnixListener, answer: &'static [u8], reads_on: bool) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The other side may have gone.
            let _ = stream.write_all(answer).await;
            if reads_on {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
}

#[tokio::test]
async fn an_upstream_that_is_away_and_back_is_one_warning_and_one_line() {
    let mut process = Process::without_upstream(&["--close-within", "0"]).await;
    ask(&process, 3, Code::BAD_GATEWAY).await;
    let line = process.line_with("the upstream cannot be used").await;
    assert!(line.contains("WARN") && line.contains("No such file"), "{line}");
    assert!(line.contains("Envoy has not started, or listens elsewhere than --upstream says"), "{line}");
    let line = process.line_with("method=").await;
    assert!(line.contains("upstream=\"cannot be reached: "), "what has spaces is in quotes: {line}");
    assert_eq!(is_up(&process).await, 0.0);

    process.stub.listen();
    let wire = Wire::connect(process.server()).await;
    eventually("recovery", async || wire.get("0").await.code == Code::CONTENT).await;
    let line = process.line_with("the upstream can").await;
    assert!(line.contains("INFO") && line.contains("can be used again"), "{line}");
    assert_eq!(is_up(&process).await, 1.0);
    assert_eq!(lines_of_state(&mut process).await, [""; 0]);
}

#[tokio::test]
async fn an_upstream_that_speaks_http_1_is_told_to() {
    for reads_on in [true, false] {
        let mut process = Process::without_upstream(&["--close-within", "0"]).await;
        let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        let listener = UnixListener::bind(process.stub.path()).unwrap();
        let serving = answer_all(listener, answer, reads_on);
        let wire = Wire::connect(process.server()).await;
        // 5.02 or, when the connection was closed before the request was sent, 5.03.
        for _ in 0..4 {
            assert_eq!(wire.get("0").await.code.class(), 5);
        }
        eventually("down", async || is_up(&process).await == 0.0).await;
        let lines = lines_of_state(&mut process).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("speaks no HTTP/2"), "{lines:?}");
        serving.abort();
    }
}
