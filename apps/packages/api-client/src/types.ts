// The names the screens use, read off the generated paths: when the server's document is exported anew, only this
// file and api.ts can need a change.
import type { paths } from './schema'

type Content<Response> = Response extends { content: { 'application/json': infer Told } } ? Told : never
type Answer<Operation> = Operation extends { responses: infer Responses }
  ? Content<Responses[keyof Responses & (200 | 201 | 202)]>
  : never
type Body<Operation> = Operation extends { requestBody: { content: { 'application/json': infer Sent } } } ? Sent : never
type Query<Operation> = Operation extends { parameters: { query?: infer Sent } } ? NonNullable<Sent> : never

export type Session = Answer<paths['/api/v1/session']['get']>
export type Credentials = Body<paths['/api/v1/session']['post']>
export type Terminal = Answer<paths['/api/v1/terminals/me']['get']>
export type Station = Answer<paths['/api/v1/stations']['get']>['items'][number]
export type Nozzle = Answer<paths['/api/v1/stations/{station_id}/forecourt']['get']>['items'][number]
export type NozzleState = Nozzle['state']
/** What the stream tells of a nozzle; what it leaves out has not changed. */
export type LiveNozzle = Pick<Nozzle, 'id' | 'state' | 'quantity_e4' | 'amount_fen' | 'unit_price_e4' | 'updated_at'>
export type SalePage = Answer<paths['/api/v1/sales']['get']>
export type SalesQuery = Query<paths['/api/v1/sales']['get']>
export type Sale = SalePage['items'][number]
export type SaleState = Sale['state']
export type Timeline = Answer<paths['/api/v1/sales/{sale_id}/timeline']['get']>
export type TimelineEntry = Timeline['entries'][number]
export type Posting = Timeline['postings'][number]
export type PaymentAsk = Body<paths['/api/v1/sales/{sale_id}/payments']['post']>
export type Payment = Answer<paths['/api/v1/payments/{payment_id}']['get']>
export type PaymentState = Payment['state']
export type Tender = Payment['tender']
export type Member = Answer<paths['/api/v1/members']['get']>['items'][number]
export type Wallet = Answer<paths['/api/v1/members/{member_id}/wallet']['get']>
