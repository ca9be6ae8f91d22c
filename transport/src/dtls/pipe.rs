//! Datagrams in memory, which OpenSSL reads and writes in place of a socket.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// One end of a handshake.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Datagrams to be read one at a time: each read ends where its datagram does.
    incoming: VecDeque<Vec<u8>>,
    /// Stream of the records written. OpenSSL buffers a flight and may cut it anywhere, so where a write
    /// ends means nothing.
    outgoing: Vec<u8>,
}

impl Pipe {
    pub(super) fn push(&mut self, datagram: Vec<u8>) {
        self.incoming.push_back(datagram);
    }
    pub(super) fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        // As with a socket, what does not fit is lost.
        buffer.iter_mut().zip(&datagram).for_each(|(to, from)| *to = *from);
        Ok(buffer.len().min(datagram.len()))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_sees_one_datagram_and_writes_become_one_stream() {
        let mut pipe = Pipe::default();
        pipe.push(vec![1, 2, 3]);
        pipe.push(vec![4]);
        let mut buffer = [0; 2];
        assert_eq!(pipe.read(&mut buffer).unwrap(), 2);
        assert_eq!(pipe.read(&mut buffer).unwrap(), 1);
        assert_eq!(buffer, [4, 2]);
        assert_eq!(pipe.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.write_all(&[1]).unwrap();
        pipe.write_all(&[2]).unwrap();
        assert_eq!(pipe.take_outgoing(), [1, 2]);
        assert!(pipe.take_outgoing().is_empty());
    }
}
