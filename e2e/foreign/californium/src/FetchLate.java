import java.io.BufferedReader;
import java.io.InputStreamReader;
import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;

/**
 * A CoAP client on Californium, without DTLS, driven by lines of JSON: for tests of late answers.
 *
 * <p>The arguments are the server, HOST:PORT, and MAX_RESOURCE_BODY_SIZE, 0 for its default. Each line of standard input is a path, as
 * JSON text, that is fetched; each is answered by one line on standard output: the code and the payload in hexadecimal digits, or what
 * failed. It ends with its input.
 */
public final class FetchLate {
  /** The longest that one answer may take. */
  private static final long ANSWER_WITHIN_MS = 90_000;

  public static void main(String[] arguments) throws Exception {
    CoapConfig.register();
    UdpConfig.register();
    Configuration settings = Configuration.createStandardWithoutFile();
    int largest = Integer.parseInt(arguments[1]);
    if (largest > 0) {
      settings.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, largest);
    }
    CoapClient client = new CoapClient();
    client.setEndpoint(CoapEndpoint.builder().setConfiguration(settings).build());
    client.setTimeout(ANSWER_WITHIN_MS);
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    for (String line = orders.readLine(); line != null; line = orders.readLine()) {
      // Paths hold nothing that JSON escapes.
      client.setURI("coap://" + arguments[0] + line.substring(1, line.length() - 1));
      System.out.println(fetch(client));
    }
    System.exit(0);
  }

  private static String fetch(CoapClient client) {
    try {
      CoapResponse response = client.get();
      if (response == null) {
        return "{\"error\": \"no answer\"}";
      }
      StringBuilder payload = new StringBuilder();
      for (byte each : response.getPayload()) {
        payload.append(String.format("%02x", each));
      }
      return "{\"code\": \"" + response.getCode() + "\", \"payload\": \"" + payload + "\"}";
    } catch (Exception error) {
      return "{\"error\": \"" + error.getClass().getSimpleName() + "\"}";
    }
  }
}
