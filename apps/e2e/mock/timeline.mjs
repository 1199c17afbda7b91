// One sale's story, as the centre would tell it.

const after = (sale, ms) => new Date(Date.parse(sale.opened_at) + ms).toISOString()

export function timelineOf(sale) {
  const before = 8_154_372_500
  const entries = [
    entry(sale, -620, 'device_message', 'message_received', { nozzle_number: sale.nozzle_number, stop_reason: 'hung up' }, '0dev:a91c:40217'),
    entry(sale, -900, 'delivery', 'delivery_recorded', {
      quantity_e4: sale.quantity_e4,
      unit: sale.unit,
      device_unit_price_e4: sale.unit_price_e4,
      device_amount_fen: sale.marks.includes('amount_mismatch') ? sale.gross_fen + 100 : sale.gross_fen,
      totalizer_before_e4: before,
      totalizer_after_e4: before + sale.quantity_e4 + (sale.marks.includes('totalizer_mismatch') ? 1_000 : 0),
      started_at: after(sale, -184_000),
      purpose: 'sale',
      marks: [],
    }, '0delivery0042'),
    entry(sale, 0, 'price', 'sale_priced', {
      unit_price_e4: sale.unit_price_e4,
      gross_fen: sale.gross_fen,
      discount_fen: sale.discount_fen,
      due_fen: sale.due_fen,
      amount_source: 'device',
      marks: sale.marks,
    }, '0price0000007'),
  ]
  if (sale.paid_fen === 0) return { sale, entries, postings: [] }
  const paid = { tender: sale.tenders[0], amount_fen: sale.paid_fen, by: 'device:0terminal0001', settled: true }
  const asked = { channel: 'wechat', product: 'native', amount_fen: sale.paid_fen, asked: 1, code: '', channel_no: '4200002611221958' }
  entries.push(
    entry(sale, 52_100, 'payment', 'payment_created', paid, '0payment00007'),
    entry(sale, 70_900, 'notification', 'notice_applied', { effect: 'applied' }, '0payment00007'),
    entry(sale, 71_180, 'attempt', 'attempt_paid', asked, '0pay00007t1'),
    entry(sale, 71_250, 'state', 'payment_paid', paid, '0payment00007'),
  )
  return { sale, entries, postings: postingsOf(sale) }
}

function entry(sale, ms, kind, title_code, facts, reference) {
  return { at: after(sale, ms), kind, title_code, facts, reference }
}

function postingsOf(sale) {
  const posting = (transfer_id, ms, kind, account, side) => ({
    transfer_id,
    at: after(sale, ms),
    kind,
    account,
    side,
    amount_fen: sale.paid_fen,
  })
  return [
    posting('0transfer0031', 71_180, 'channel_received', 'channel_receivable', 'debit'),
    posting('0transfer0031', 71_180, 'channel_received', 'receipts_unallocated', 'credit'),
    posting('0transfer0032', 71_200, 'receipt_allocated', 'receipts_unallocated', 'debit'),
    posting('0transfer0032', 71_200, 'receipt_allocated', 'operator_payable', 'credit'),
  ]
}
