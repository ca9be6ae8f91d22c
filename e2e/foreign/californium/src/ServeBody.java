import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.eclipse.californium.core.CoapResource;
import org.eclipse.californium.core.CoapServer;
import org.eclipse.californium.core.coap.CoAP.ResponseCode;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.server.resources.CoapExchange;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;

/**
 * A CoAP server on Californium, without DTLS and with its defaults: for tests of our client.
 *
 * <p>It prints its port. Each line of standard input is a length: from then on the resource "body" has that
 * many bytes, of a new version. Each is answered by one line on standard output: how often the resource has
 * been asked for since the last one. It ends with its input.
 */
public final class ServeBody extends CoapResource {
  private int version;
  private int runs;
  private byte[] body = {};

  private ServeBody() {
    super("body");
  }

  /** Makes another body and returns how often the one before has been asked for. */
  private synchronized int change(int length) {
    int before = runs;
    runs = 0;
    version += 1;
    StringBuilder lines = new StringBuilder();
    for (int line = 0; lines.length() < length; line++) {
      lines.append(String.format("%07x %06d \n", line, version));
    }
    body = Arrays.copyOf(lines.toString().getBytes(StandardCharsets.US_ASCII), length);
    return before;
  }

  @Override
  public synchronized void handleGET(CoapExchange exchange) {
    runs += 1;
    exchange.respond(ResponseCode.CONTENT, body);
  }

  public static void main(String[] arguments) throws Exception {
    CoapConfig.register();
    UdpConfig.register();
    CoapServer server = new CoapServer(Configuration.createStandardWithoutFile());
    InetSocketAddress here = new InetSocketAddress("127.0.0.1", 0);
    CoapEndpoint.Builder endpoint = CoapEndpoint.builder();
    endpoint.setConfiguration(Configuration.createStandardWithoutFile()).setInetSocketAddress(here);
    server.addEndpoint(endpoint.build());
    ServeBody resource = new ServeBody();
    server.add(resource);
    server.start();
    System.out.println(server.getEndpoints().get(0).getAddress().getPort());
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    for (String line = orders.readLine(); line != null; line = orders.readLine()) {
      System.out.println(resource.change(Integer.parseInt(line)));
    }
    System.exit(0);
  }
}
