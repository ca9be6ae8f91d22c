//! Blocks that were asked for at once: their answers leave together, and nobody else waits for them.

use crate::harness::Chain;
use crate::raw::Raw;
use crate::stub::{cbor, handler};
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{Kind, Message, MessageId, Outgoing, Token};
use lowband_wire::coap::{Code, numbers};
use std::collections::BTreeSet;

/// Blocks of the body, each of which has other bytes.
const BLOCKS: u32 = 64;

async fn start() -> Chain {
    let body: Vec<u8> = (0..BLOCKS).flat_map(|num| [num as u8; 1024]).collect();
    let head = [&[0x5a][..], &(BLOCKS * 1024 - 5).to_be_bytes()].concat();
    let body = [&head, &body[head.len()..]].concat();
    Chain::start(handler(move |_| std::future::ready(cbor(200, &body))), &[]).await
}

/// Asks for block 0 and waits until the sidecar has the whole body; returns the client.
async fn reader(chain: &Chain, bodies: u32) -> Raw {
    let mut client = Raw::connect(chain.server).await;
    let first = request(&mut client, 0);
    client.say(&first).await;
    assert_eq!(client.hear().await[1], Code::CONTENT.0);
    chain.metric_reaches("lowband_coap_snapshot_bytes", f64::from(bodies * BLOCKS * 1024)).await;
    client
}

/// Makes a request for one block, whose token is its number.
fn request(client: &mut Raw, num: u32) -> Vec<u8> {
    let block = Block { num, more: false, size: BlockSize::MAX };
    let options = vec![(numbers::URI_PATH, b"7".to_vec()), (numbers::BLOCK2, block.encode())];
    let token = Token::new(&[num as u8]).unwrap();
    let id = MessageId(u16::from_be_bytes(client.id()));
    Outgoing { code: Code::GET, token, options, payload: vec![] }.encode(Kind::Confirmable, id).unwrap()
}

/// Sends requests for these blocks. The sidecar shares the thread with this test, and reads nothing before
/// the test waits for something.
async fn ask(client: &mut Raw, blocks: impl Iterator<Item = u32>) {
    for num in blocks {
        let message = request(client, num);
        client.say(&message).await;
    }
}

async fn hear(client: &mut Raw, blocks: impl ExactSizeIterator<Item = u32>) {
    let mut heard = BTreeSet::new();
    for _ in 0..blocks.len() {
        let answer = Message::parse(&client.hear().await).unwrap();
        let num = answer.token.as_bytes()[0];
        assert_eq!((answer.code, answer.payload()), (Code::CONTENT, &[num; 1024][..]));
        heard.insert(u32::from(num));
    }
    assert!(heard.into_iter().eq(blocks));
}

/// Returns how many calls have sent how many datagrams.
async fn sent(chain: &Chain) -> [u64; 2] {
    let (_, text) = chain.page("/metrics").await;
    ["lowband_udp_send_calls_total", "lowband_udp_datagrams_total{direction=\"out\"}"]
        .map(|name| crate::harness::value(&text, name) as u64)
}

#[tokio::test]
async fn blocks_that_were_asked_for_in_one_burst_leave_in_one_call() {
    let chain = start().await;
    let mut client = reader(&chain, 1).await;
    let [calls, datagrams] = sent(&chain).await;
    ask(&mut client, 16..40).await;
    hear(&mut client, 16..40).await;
    assert_eq!(sent(&chain).await, [calls + 1, datagrams + 24]);
}

#[tokio::test]
async fn the_block_of_a_neighbour_leaves_in_its_turn_in_the_middle_of_a_burst() {
    let chain = start().await;
    let mut greedy = reader(&chain, 1).await;
    let mut modest = reader(&chain, 2).await;
    let [calls, datagrams] = sent(&chain).await;
    ask(&mut greedy, 16..24).await;
    ask(&mut modest, 20..21).await;
    ask(&mut greedy, 24..40).await;
    hear(&mut modest, 20..21).await;
    hear(&mut greedy, 16..40).await;
    assert_eq!(sent(&chain).await, [calls + 3, datagrams + 25]);
}
