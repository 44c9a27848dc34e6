//! What odata2ts generates: everything, with long numbers as texts, so that the client asks for `IEEE754Compatible`.

import { ConfigFileOptions, EmitModes, Modes } from '@odata2ts/odata2ts';

const config: ConfigFileOptions = {
  mode: Modes.service,
  emitMode: EmitModes.ts,
  v4BigNumberAsString: true,
  services: {
    gateway: { source: 'models/gateway.edmx', output: 'generated/gateway', serviceName: 'Gateway' },
    shop: { source: 'models/shop.edmx', output: 'generated/shop', serviceName: 'Shop' }
  }
};

export default config;
