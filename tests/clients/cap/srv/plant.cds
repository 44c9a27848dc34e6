using { plant } from '../db/schema';

@path: '/odata/v4/plant'
service PlantService {
  entity Readings as projection on plant.Readings;
  entity Gauges   as projection on plant.Gauges;
}
